from pathlib import Path

import pytest

from fixtures_server import CorpusOptions, OptionsRefused, SiteOptions


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"pages": 0}, "pages must be between 1"),
        ({"pages": 10**8}, "pages must be between 1"),
        ({"links_per_page": 0}, "links_per_page must be between 1"),
        ({"page_bytes": 100}, "page_bytes must be between 4000 .what 20 links need"),
        ({"page_bytes": 10**9}, "page_bytes must be between"),
        ({"fan_out": 0}, "fan_out must be between 1 and 19"),
        ({"fan_out": 20}, "fan_out must be between 1 and 19"),
        ({"latency_s": -0.1}, "latency_s must be between 0 and 300 seconds"),
        ({"latency_s": float("nan")}, "latency_s must be between 0 and 300 seconds"),
        ({"distribution": "normal"}, "distribution must be one of constant, lognormal"),
    ],
)
def test_a_value_out_of_range_is_refused_by_name(wrong: dict[str, object], named: str) -> None:
    with pytest.raises(OptionsRefused, match=named):
        SiteOptions(**wrong)  # type: ignore[arg-type]


def test_a_refusal_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="pages"):
        SiteOptions(pages=-1)


def test_a_corpus_must_be_a_directory(tmp_path: Path) -> None:
    with pytest.raises(OptionsRefused, match="nowhere is not a directory"):
        CorpusOptions(tmp_path / "nowhere")


def test_a_corpus_keeps_its_place_when_the_current_directory_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert CorpusOptions(Path()).directory == tmp_path.resolve()
