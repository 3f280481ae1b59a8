"""Parts of a conversion: layers that stay in fp32, and errors that name the tower."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from service.encoder.runtimes.convert import ConversionError, _conversion_errors, with_precise_layers

pytestmark = pytest.mark.e2e


def test_layers_up_to_the_requested_one_are_marked() -> None:
    layers = "".join(
        f'<layer id="{index}" name="{index}" type="{kind}" />'
        for index, kind in enumerate(
            ["Parameter", "Const", "Convolution", "Add", "Const", "MatMul", "Clamp", "Convolution", "Result"]
        )
    )
    xml = with_precise_layers(f"<net><layers>{layers}</layers></net>", 2)
    marked = ElementTree.fromstring(xml)  # noqa: S314 - written here
    names = [
        layer.get("name")
        for layer in marked.iter("layer")
        if layer.find("rt_info/attribute[@name='precise']") is not None
    ]
    assert names == ["2", "3", "5", "6"]


def test_conversion_error_names_the_tower() -> None:
    with (
        pytest.raises(ConversionError, match=r"the text tower cannot be converted \(ValueError\)"),
        _conversion_errors("the text tower cannot be converted"),
    ):
        raise ValueError
