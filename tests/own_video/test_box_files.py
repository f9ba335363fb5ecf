"""Files of boxes: what each kind means, and one line for what is none."""

from pathlib import Path

import pytest

from hcft_jax.own_video import box_files
from hcft_jax.own_video.box_files import Start
from hcft_jax.util.errors import InputError

BOX = (10.0, 20.0, 30.0, 40.0)


def read(tmp_path: Path, text: str, name: str = "a.txt", form: str = "xywh") -> list[Start]:
    (tmp_path / name).write_text(text)
    return box_files.read(tmp_path / name, form)


@pytest.mark.parametrize(
    ("text", "frame", "name"),
    [
        ("10,20,30,40\n", None, ""),
        ("10 20 30 40,\n\n", None, ""),
        ("# mine\n10;20;30;40;\n", None, ""),
        ("x,y,w,h\n10,20,30,40\n", None, ""),
        ("\ufeffx1,y1,x2,y2\n10,20,40,60\n", None, ""),
        ("left,top,right,bottom\n10,20,40,60\n", None, ""),
        ("left,top,width,height,conf\n10,20,30,40,0.5\n", None, ""),
        ('"xmin","ymin","xmax","ymax","name"\n10,20,40,60,cat\n', None, "cat"),
        ("frame,time,x,y,w,h,score,lost\n3,0.1,10,20,30,40,,0\n", 3, ""),
        ("frame,id,x,y,w,h\n3,7,10,20,30,40\n", 3, "7"),
        ("3,7,11,21,30,40,0.9,-1,-1,-1\n", 3, "7"),
        ("3,-1,11,21,30,40,0.9\n", 3, ""),
    ],
)
def test_a_row_is_what_its_file_says(
    tmp_path: Path, text: str, frame: int | None, name: str
) -> None:
    (start,) = read(tmp_path, text)
    assert (start.box, start.frame, start.id) == (BOX, frame, name)


def test_corners_are_asked_for_where_nothing_says_it(tmp_path: Path) -> None:
    assert read(tmp_path, "10,20,40,60\n", form="xyxy")[0].box == BOX


@pytest.mark.parametrize(
    "text",
    [
        '[{"image_id": 3, "category_id": 1, "bbox": [10, 20, 30, 40], "score": 0.5}]',
        '{"images": [{"id": 8, "frame": 3}], "annotations": '
        '[{"image_id": 8, "bbox": [10, 20, 30, 40], "track_id": ""}]}',
    ],
)
def test_detections_of_coco(tmp_path: Path, text: str) -> None:
    (start,) = read(tmp_path, text, "a.json")
    assert (start.box, start.frame, start.id) == (BOX, 3, "")


@pytest.mark.parametrize(
    ("text", "name", "message"),
    [
        ("", "a.txt", "the file is empty"),
        ("x,y,w,h\n", "a.txt", "it has no box"),
        ("1,2,3,4,5\n", "a.txt", "line 1: 5 columns could be several things"),
        ("1,2,3,4,5,6\n", "a.txt", "line 1: 6 columns could be several things"),
        ("1,2,3,4\n1,2,3\n", "a.txt", "line 2: 3 columns, expected 4"),
        ("1,,3,4\n", "a.txt", "line 1: '' is not a finite number"),
        ("1,2,3,nan\n", "a.txt", "line 1: 'nan' is not a finite number"),
        ("frame,x,y,w\n1,2,3,4\n", "a.txt", "line 1: no column h in frame,x,y,w"),
        ("time,x,y,w,h\n1,2,3,4,5\n", "a.txt", "a column time, but none of frames"),
        ("frame,x,y,w,h\n0,2,3,4,5\n", "a.txt", "line 2: frames count from 1"),
        ("frame,x,y,w,h\n1.5,2,3,4,5\n", "a.txt", "line 2: the frame 1.5 is no whole number"),
        ("[", "a.json", "not JSON"),
        ("5", "a.json", "neither detections nor annotations"),
        ('[{"bbox": [1, 2, 3, 4]}]', "a.json", "box 1: no image_id"),
        ('[{"image_id": 1, "bbox": [1, 2, 3]}]', "a.json", "box 1: no image_id, or no bbox"),
        ('[{"image_id": "x", "bbox": [1, 2, 3, 4]}]', "a.json", "the frame 'x' is no whole"),
        ("[]", "a.json", "it has no box"),
        ("[" * 10**5, "a.json", "not JSON"),
    ],
)
def test_what_is_no_box_is_one_line(tmp_path: Path, text: str, name: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read(tmp_path, text, name)


def test_without_ids_the_first_boxes_are_the_targets() -> None:
    rows = [Start(BOX, "a", frame) for frame in (4, 2, 2, 3)]
    assert box_files.chosen(rows, lambda n: True, False) == [rows[1], rows[2]]
    assert box_files.chosen(rows, lambda n: n > 2, False) == [rows[3]]
    assert box_files.chosen(rows, lambda n: True, True) == [rows[0]]


def test_an_id_starts_in_the_first_of_its_frames_that_are_tracked() -> None:
    rows = [Start(BOX, "a", frame, name) for frame, name in ((1, "10"), (2, "9"), (3, "10"))]
    assert box_files.chosen(rows, lambda n: True, False) == [rows[1], rows[0]]
    assert box_files.chosen(rows, lambda n: n > 1, False) == [rows[1], rows[2]]
