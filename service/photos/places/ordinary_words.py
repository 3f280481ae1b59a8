"""Ordinary words that are names of places too; in lower case they are meant as words.

The words of a query are compared with them, and `data.places` marks them in the table that it builds.
"""

from __future__ import annotations

_WORDS = """
    acre afar alley anda ascension bale bane bar basic bass bat bath batman bay bella ben bender best bid bled bone
    boulder bride buffalo bush caller camo can capital car cascade cascades cat centennial central centre chi chili
    chin clear conception concord cork cos cypress deli delta der derby dining dis drug dual east eastern enterprise
    est even fair falcon forest gan genes german gold grad grade green grins gulf hail hang homo hope hub hue hull
    independence island islands isle jersey jewish kin lake lakes lander lids like lila lime limo lion log logos
    lone luck male man manning marches maritime mary mascara mesa metro midway mobile monster most mus name nan nice
    normal north northeast northern northwest of okay oral orange oriental pal panda para paradise pest pet pets
    phoenix plateau pool pre pristine pun rain reading region rest reunion rim rivers riverside roles ruse sale salt
    sam san sari saris savanna savannah se shaping sol solo song soul sour south southern southwest split spoken
    spring springs star store suede sumo sun sunning sur surprise tan tango tape terminus thai thorn tor torn tour
    tours trident trinity tub tunes turkey turn unite unity vale van victor vine vista von wake wan west western
    white winter woodlands бассейне
"""
_PHRASES = (
    *("green bay", "high point", "ocean side", "old town", "sandy ground", "sandy hill", "the valley"),
    "white house",
)
ORDINARY_WORDS = frozenset((*_WORDS.split(), *_PHRASES))
"""Chosen by hand from words of captions and from the 6,000 most frequent words of CLIP's vocabulary."""
