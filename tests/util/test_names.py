import pytest
from hypothesis import given
from hypothesis import strategies as st

from hcft_jax.util import names

KNOWN = ["Basketball", "Jogging-1", "Jogging-2", "Human4-2", "Human3", "Car1", "Skating2-1"]
INDEX = names.index(KNOWN)


@given(
    name=st.sampled_from(KNOWN),
    separator=st.sampled_from(["-", ".", "_", " "]),
    case=st.sampled_from([str.lower, str.upper, str.title, str.swapcase]),
)
def test_every_spelling_is_one_target(name: str, separator: str, case: type[str]) -> None:
    assert INDEX[names.key(case(name.replace("-", separator)))] == name


@given(st.text())
def test_the_key_of_a_key_is_itself(name: str) -> None:
    assert names.key(names.key(name)) == names.key(name)


def test_a_video_stands_for_its_only_target_and_for_none_of_several() -> None:
    assert INDEX[names.key("human4")] == "Human4-2"
    assert names.key("Jogging") not in INDEX


def test_a_name_stands_for_itself_before_it_stands_for_a_target() -> None:
    index = names.index(["Car", "Car-2"])
    assert (index["car"], index["car-2"]) == ("Car", "Car-2")


@given(
    name=st.sampled_from(KNOWN),
    separator=st.sampled_from(["-", ".", "_"]),
    tracker=st.sampled_from(["CF2", "CNN-SVM", "my_tracker", "v1.2", "DSST_2"]),
)
def test_a_file_name_is_split_into_sequence_and_tracker(
    name: str, separator: str, tracker: str
) -> None:
    assert names.split(f"{name.replace('-', separator)}_{tracker}", INDEX) == (name, tracker)


@pytest.mark.parametrize("stem", ["Basketball", "Basketball_", "Unknown_CF2", "_CF2", ""])
def test_other_file_names_are_none(stem: str) -> None:
    assert names.split(stem, INDEX) is None


def test_numbers_are_sorted_by_value() -> None:
    frames = ["frame10.png", "Frame2.png", "frame1.png", "10.png", "9.png"]
    order = ["frame1.png", "Frame2.png", "frame10.png", "9.png", "10.png"]
    assert sorted(frames, key=names.natural) == order


def test_near_names_are_found_in_any_spelling() -> None:
    assert names.near("JOGING.1", ["Jogging-1", "Deer"]) == " (did you mean Jogging-1?)"
    assert names.near("xyz", ["Jogging-1", "Deer"]) == ""


@pytest.mark.parametrize(
    ("name", "most", "fits"),
    [("clip", 4, "clip"), ("clip", 3, "cli"), ("a\u00e9\u00e9", 4, "a\u00e9")],
)
def test_a_long_name_is_cut_between_characters(name: str, most: int, fits: str) -> None:
    assert names.fitting(name, most) == fits


def test_numbers_of_any_length_are_in_order() -> None:
    numbers = ["9", "10", "010x", "1" * 5000, "2" * 5000]
    assert sorted(numbers, key=names.natural) == numbers
    assert names.natural("007") == names.natural("7")
