"""What files say about a photograph: EXIF, XMP, IPTC, Takeout, names; and the hash of image data without all that."""
