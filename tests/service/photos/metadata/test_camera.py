"""Names of cameras."""

from __future__ import annotations

import pytest

from service.photos.metadata.camera import camera_name


@pytest.mark.parametrize(
    ("make", "model", "name"),
    [
        ("Canon", "Canon EOS 600D", "Canon EOS 600D"),
        ("NIKON CORPORATION", "NIKON D5000", "Nikon D5000"),
        ("SONY", "ILCE-7RM3", "Sony ILCE-7RM3"),
        ("OLYMPUS IMAGING CORP.", "E-M10", "Olympus E-M10"),
        ("OLYMPUS OPTICAL CO.,LTD", "C750UZ", "Olympus C750UZ"),
        ("Asahi Optical Co.,Ltd", "PENTAX Optio 330", "Pentax Optio 330"),
        ("RICOH IMAGING COMPANY, LTD.", "PENTAX K-1", "Pentax K-1"),
        ("EASTMAN KODAK COMPANY", "KODAK DX4330", "Kodak DX4330"),
        ("FUJIFILM", "X-T3", "Fujifilm X-T3"),
        ("FUJI PHOTO FILM CO., LTD.", "FinePix A201", "Fujifilm FinePix A201"),
        ("KONICA MINOLTA", "DiMAGE Z3", "Konica Minolta DiMAGE Z3"),
        ("Hewlett-Packard", "HP PhotoSmart C812", "HP PhotoSmart C812"),
        ("LEICA CAMERA AG", "LEICA Q2", "Leica Q2"),
        ("HMD Global", "Nokia 8.3 5G", "Nokia 8.3 5G"),
        ("samsung", "SM-G991B", "Samsung SM-G991B"),
        ("HUAWEI", "VOG-L29", "Huawei VOG-L29"),
        ("Apple", "iPhone 13 Pro", "Apple iPhone 13 Pro"),
        ("DJI", "FC3170", "DJI FC3170"),
        ("HTC", "HTC One", "HTC One"),
        ("Apple", "", "Apple"),
        ("", "Unbranded", "Unbranded"),
        ("", "", None),
    ],
)
def test_maker_and_model_are_not_repeated(make: str, model: str, name: str | None) -> None:
    assert camera_name(make, model) == name
