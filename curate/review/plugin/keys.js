// Keys for the answers, wherever a sample is open or samples are selected. No build step: the App loads this file as
// it is and offers its operators on `window.__foo__`.
(() => {
  "use strict";
  const PLUGIN = "@specurate/review/";
  const KEYS = { a: "accept", k: "keep", d: "drop", u: "undo", s: "skip" };
  const OURS = /\/datasets\/specurate-/;

  const isTyping = (target) =>
    target instanceof Element && target.closest("input, textarea, select, [contenteditable='true'], [role='dialog'] form");

  document.addEventListener(
    "keydown",
    (event) => {
      const plain = !(event.ctrlKey || event.metaKey || event.altKey || event.shiftKey || event.repeat);
      if (!plain || !OURS.test(location.pathname) || isTyping(event.target) || !window.__foo__) return;
      const number = /^[1-9]$/.test(event.key) ? Number(event.key) : 0;
      const answer = number ? "relabel" : KEYS[event.key];
      if (!answer) return;
      // Before the App's own keys: `s` and `d` mean something there, too.
      event.preventDefault();
      event.stopImmediatePropagation();
      window.__foo__.executeOperator(PLUGIN + answer, number ? { number, key: true } : { key: true });
    },
    true,
  );
})();
