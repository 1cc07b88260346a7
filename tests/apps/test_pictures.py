"""Pictures from a browser: what is none, what is too large, how small it gets, and how many at once."""

from __future__ import annotations

import base64
import io
import threading
from typing import Any

import numpy as np
import psutil
import pytest
from PIL import Image

from apps import pictures
from apps.pictures import AT_ONCE, KEPT, MOST_WAITING, Turns, give_back, read_image
from engine.errors import BusyError, InputError

LARGE = 6300  # pixels a side, 39.7 million in all: as many as are taken


def data_url(image: Image.Image, form: str = "PNG", **options: Any) -> str:
    target = io.BytesIO()
    image.save(target, form, **options)
    return f"data:image/{form.lower()};base64," + base64.b64encode(target.getvalue()).decode()


@pytest.mark.parametrize(
    "data",
    [
        "", None, {}, ["data:image/png;base64,"], 7, "data:image/png;base64,", "data:image/png;base64,!!!",
        "data:text/html;base64,PGI+", "/etc/passwd",
        "data:image/svg+xml;base64," + base64.b64encode(b"<svg onload='x'/>").decode(),
        data_url(Image.new("RGB", (20, 20)), "GIF"), data_url(Image.new("RGB", (2, 2))),
        data_url(Image.new("RGB", (20, 20)))[:-40], "data:image/png;base64," + "A" * 12_000_000,
    ],
)  # fmt: skip
def test_what_is_no_picture_gets_one_sentence(data: Any) -> None:
    with pytest.raises(InputError):
        read_image(data)


def test_a_picture_with_too_many_pixels_is_refused_before_it_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    url = data_url(Image.new("1", (12_000, 12_000)))
    monkeypatch.setattr(pictures, "_small", lambda image: pytest.fail("it was decoded"))
    with pytest.raises(InputError, match="40,000,000"):
        read_image(url)


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP"])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_a_large_picture_gets_small_and_keeps_its_colours(mode: str, form: str) -> None:
    made = Image.new(mode, (3 * KEPT, KEPT + 77), "white")
    made.paste("black", (0, 0, made.width // 2, made.height))
    read = read_image(data_url(made, form))
    assert (read.mode, max(read.size) <= KEPT) == ("RGB", True)
    assert read.width / read.height == pytest.approx(made.width / made.height, rel=0.01)
    means = np.asarray(read, np.float32).mean(axis=(0, 2))
    assert means[: read.width // 2 - 8].max() < 10
    assert means[read.width // 2 + 8 :].min() > 245


@pytest.mark.parametrize("mode", ["P", "1", "RGBA"])
def test_strips_are_the_average_of_the_whole_picture(mode: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (2 * KEPT + 50, 300, 3), np.uint8)
    made = Image.fromarray(noise).convert(mode)
    read = read_image(data_url(made))
    assert np.array_equal(np.asarray(read), np.asarray(made.convert("RGB").reduce(3)))


def test_a_small_picture_stays_as_it_is() -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8))
    assert np.array_equal(np.asarray(read_image(data_url(noise))), np.asarray(noise))


def test_pictures_take_turns_and_a_full_line_is_told_so() -> None:
    turns, working, most, gate = Turns(), [0], [0], threading.Event()
    refused: list[str] = []

    def work() -> None:
        try:
            with turns.turn():
                working[0] += 1
                most[0] = max(most[0], working[0])
                assert gate.wait(20)
                working[0] -= 1
        except BusyError as error:
            refused.append(str(error))

    threads = [threading.Thread(target=work) for _ in range(AT_ONCE + MOST_WAITING + 5)]
    for thread in threads:
        thread.start()
    while len(refused) < 5:
        gate.wait(0.01)
    gate.set()
    for thread in threads:
        thread.join()
    assert most[0] == AT_ONCE
    assert len(refused) == 5
    assert "try again" in refused[0]
    with turns.turn():
        pass


def test_large_pictures_cost_one_at_a_time_and_their_memory_comes_back() -> None:
    url = data_url(Image.new("RGB", (LARGE, LARGE), "#0b6e6e"), compress_level=9)
    assert len(url) < 300_000, "a small file that decodes to much"
    process, turns, peak, done = psutil.Process(), Turns(), [0], threading.Event()
    with turns.turn():
        read_image(url)
    before = process.memory_info().rss

    def watch() -> None:
        while not done.wait(0.005):
            peak[0] = max(peak[0], process.memory_info().rss)

    def read() -> None:
        with turns.turn():
            read_image(url)

    watcher, readers = threading.Thread(target=watch), [threading.Thread(target=read) for _ in range(3)]
    for thread in (watcher, *readers):
        thread.start()
    for thread in readers:
        thread.join()
    done.set()
    watcher.join()
    give_back()
    assert peak[0] - before < 350e6, "160 MB for one in its full size, and strips"
    assert process.memory_info().rss - before < 60e6
