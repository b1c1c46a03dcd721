// Keys for the answers, wherever a sample is open or samples are selected. No build step: the App loads this file as
// it is and offers its operators on `window.__foo__`.
(() => {
  "use strict";
  const PLUGIN = "@specurate/review/";
  const PROMPT = "@voxel51/operators/prompt_user_for_operation";
  const KEYS = {
    a: "accept", k: "keep", d: "drop", b: "undrop", m: "keep_this_copy", x: "not_copies", u: "undo", s: "skip",
  };
  const ASKED = { r: "relabel", n: "note" }; // these open a form
  const OURS = /\/datasets\/specurate-/;
  const TYPED_IN = "input:not([type='checkbox']), textarea, select, [contenteditable='true']";

  const isTyping = (target) => target instanceof Element && target.closest(TYPED_IN) !== null;
  const isAsking = () => document.querySelector(".MuiDialog-root, [data-cy='operators-prompt']") !== null;

  document.addEventListener(
    "keydown",
    (event) => {
      const isPlain = !(event.ctrlKey || event.metaKey || event.altKey || event.shiftKey || event.repeat);
      if (!isPlain || !OURS.test(location.pathname) || !window.__foo__ || isTyping(event.target) || isAsking()) return;
      const number = /^[1-9]$/.test(event.key) ? Number(event.key) : 0;
      const answer = number ? "relabel" : KEYS[event.key];
      if (!answer && !ASKED[event.key]) return;
      // Before the App's own keys: `s` and `d` mean something there, too.
      event.preventDefault();
      event.stopImmediatePropagation();
      if (answer) window.__foo__.executeOperator(PLUGIN + answer, number ? { number } : {});
      else window.__foo__.executeOperator(PROMPT, { operator_uri: PLUGIN + ASKED[event.key] });
    },
    true,
  );

  // An open sample shows its findings beside the picture, until the reviewer arranges it otherwise.
  const LAYOUT = "fo-sample-modal-plugins"; // where the App keeps it
  const tab = (name, pinned) => ({
    id: `specurate-${name}`,
    children: [{ id: name, children: [], type: name, pinned }],
    type: "panel-container",
    activeChild: name,
  });
  try {
    if (OURS.test(location.pathname) && !localStorage.getItem(LAYOUT)) {
      const children = [tab("fo-sample-modal-plugin", true), tab("findings", false)];
      const layout = { id: "root", children, type: "panel-container", layout: "horizontal", activeChild: "findings" };
      localStorage.setItem(LAYOUT, JSON.stringify({ ...layout, sizes: [0.6, 0.4] }));
    }
  } catch {
    // Storage is refused: the panel is a tab.
  }
})();
