"""One page of everything an evaluation found: ``report.html``, on its own, for any browser.

The page needs no network and may not use it: its content security policy forbids every request and
every script but its own. All numbers in it are the evaluation's; the scripts only show them. It has
no date in it, so that the same evaluation gives the same bytes.

============  ==========================================================================
``content``   scores, curves and intervals: what the plots and tables show
``tracks``    boxes, overlaps and errors frame by frame, response maps, pictures
``sources``   where each tracker's results come from, its configuration and command
``encoding``  arrays as compressed text, JSON that cannot leave its element
``page``      all of it in one file; ``template.html``, ``style.css``, ``*.js``
============  ==========================================================================
"""

from hcft_jax.evaluation.report.page import write
from hcft_jax.evaluation.report.tracks import MAX_FRAMES, MAX_SIDE, Pictures

__all__ = ["MAX_FRAMES", "MAX_SIDE", "Pictures", "write"]
