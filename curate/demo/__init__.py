"""The demo: a drawn dataset of cats and dogs with planted, recorded faults.

These are drawings, made by Pillow from a seed, not photographs: they let the whole tool run, and its findings be
scored against the truth, without downloading anything.

shapes -> fur -> head -> animal, background, offtopic -> scene (one picture) -> plan, faults -> folder -> score
"""
