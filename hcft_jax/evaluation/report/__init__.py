"""One page with all results of an evaluation: ``report.html``, a single file for any browser.

The page needs no network and may not use it: its content security policy forbids every request and
every script but its own. All its numbers are the evaluation's; the scripts only show them. It has
no date, so the same evaluation gives the same bytes.

============  ==========================================================================
``content``   scores, curves and intervals, which the plots and tables show
``tracks``    boxes, overlaps and errors frame by frame, response maps, pictures
``sources``   the files of each tracker's results, its configuration and command
``encoding``  arrays as compressed text, and JSON that cannot leave its element
``page``      everything in one file; ``template.html``, ``style.css``, ``*.js``
============  ==========================================================================
"""

from hcft_jax.evaluation.report.page import write
from hcft_jax.evaluation.report.tracks import MAX_FRAMES, MAX_SIDE, Pictures

__all__ = ["MAX_FRAMES", "MAX_SIDE", "Pictures", "write"]
