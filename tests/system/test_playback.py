"""An overlay in a real browser: Chromium plays it to its end."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.support.ui import WebDriverWait

from hcft_jax.visual import film
from hcft_jax.visual.overlay import OverlayWriter

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
DRIVER = shutil.which("chromedriver")


@pytest.mark.skipif(
    not (CHROMIUM and DRIVER), reason="no chromium and chromedriver (Debian: chromium-driver)"
)
def test_a_browser_plays_an_overlay_to_its_end(tmp_path: Path) -> None:
    if film.codec() == "mpeg4":
        pytest.skip("this FFmpeg has no encoder of H.264")
    with OverlayWriter(tmp_path / "a.mp4", fps=20, layers=("conv5_4",)) as video:
        for level in range(0, 240, 12):
            frame = np.full((361, 481, 3), level, np.uint8)
            video.draw(frame, (50, 60, 80, 90), None, np.eye(9)[None], (0, 0, 99, 99))
    page = tmp_path / "page.html"
    page.write_text("<video src=a.mp4 muted></video>")
    options = webdriver.ChromeOptions()
    options.binary_location = str(CHROMIUM)
    for argument in ("headless=new", "disable-gpu", "disable-dev-shm-usage"):
        options.add_argument(f"--{argument}")
    if os.geteuid() == 0:
        options.add_argument("--no-sandbox")
    options.add_argument(f"--user-data-dir={tmp_path / 'profile'}")
    driver = webdriver.Chrome(options=options, service=Service(str(DRIVER)))
    try:
        driver.get(page.as_uri())
        driver.execute_script("document.querySelector('video').play()")
        seen = "const v = document.querySelector('video'); return "
        state = f"{seen} v.error ? v.error.message : v.ended"
        WebDriverWait(driver, 20).until(lambda d: d.execute_script(state))
        assert driver.execute_script(state) is True
        width, height, seconds = driver.execute_script(
            f"{seen} [v.videoWidth, v.videoHeight, v.duration]"
        )
    finally:
        driver.quit()
    assert (width % 2, height) == (0, 362)
    assert seconds == pytest.approx(1.0, abs=0.06)
