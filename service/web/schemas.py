"""Request and response models of the HTTP API; `--json` of the commands prints the same models."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictInt

from service.heads.registry import HeadSummary
from service.index.attributes.facets import Facets
from service.library import Library
from service.match.scorer import CalibrationSource
from service.photos.crop import Box
from service.search.chips import Chip
from service.search.hits import Score, SearchResult, WithoutFilters
from service.search.query import DEFAULT_K, MAX_K, Order, Query
from service.store.lock import Writer
from service.store.ratings import DEFAULT_RATER
from service.store.records import Rating
from service.web.background_schemas import BackgroundOut, IndexingOut, LastRunOut
from service.web.filter_parameters import FiltersIn
from service.web.photo_schemas import HitOut, ListedPhotoOut


class PartOut(BaseModel):
    """An area of a photograph in fractions of its upright width and height; x and y of its top left corner."""

    x: float = Field(ge=0, le=1)
    y: float = Field(ge=0, le=1)
    width: float = Field(ge=0, le=1)
    height: float = Field(ge=0, le=1)

    @classmethod
    def of(cls, box: Box | None) -> PartOut | None:
        """From a box, which rounding may have made a little larger than the photograph."""
        if box is None:
            return None
        names = ("x", "y", "width", "height")
        return cls(**{name: round(min(1.0, max(0.0, getattr(box, name))), 4) for name in names})


class WithoutFiltersOut(BaseModel):
    """What a search finds without its filters."""

    hits: int = Field(description="photographs that pass the threshold")
    or_more: bool = Field(description="whether there may be more of them")
    best_match: float | None

    @classmethod
    def of(cls, without: WithoutFilters | None) -> WithoutFiltersOut | None:
        """From the result of the library."""
        return None if without is None else cls.model_validate(_fields(cls, without))


class ChipOut(BaseModel):
    """A part of `q` that was understood as a filter."""

    field: str = Field(description="name of the filter; taken for taken_from and taken_to together")
    value: str = Field(examples=["2019-07"])
    text: str = Field(description="the part as it was typed; without it there is no such filter")
    label: str = Field(description="the filter in words", examples=["taken in July 2019"])

    @classmethod
    def of(cls, chip: Chip) -> ChipOut:
        """From the result of the library."""
        return cls.model_validate(_fields(cls, chip))


class SearchOut(BaseModel):
    """The result of a search."""

    hits: list[HitOut]
    took_ms: float
    model: str | None = Field(description="null where nothing was compared, as is `calibration`")
    head: str | None = Field(description="the head that photographs were compared with; null without one")
    calibration: CalibrationSource | None = Field(description="where the match comes from")
    min_match: float = Field(description="the threshold applied: that of the request, or the default of the match")
    answerable: bool = Field(
        description="whether any photograph reached both this threshold and the default; if not, the hits are only "
        "the nearest photographs"
    )
    best_match: float | None = Field(description="the best match found, shown or not; null in an empty library")
    notice: str | None = Field(description="a sentence to show to the user, or null")
    photographs: int = Field(description="photographs that were searched")
    part: PartOut | None = Field(description="the area of the query photograph searched with; null for all of it")
    borders_left_out: bool = Field(description="whether that area is what remained after cutting off borders")
    next_cursor: str | None = Field(
        description="send it as `cursor` with the same search for the hits after these; null after the last"
    )
    filtered: int | None = Field(description="how many photographs the filters leave; null without filters")
    without_filters: WithoutFiltersOut | None = Field(
        description="what there is without the filters, where with them nothing passes the threshold"
    )
    understood: list[ChipOut] = Field(description="which words of `q` were understood as filters")

    @classmethod
    def of(cls, result: SearchResult) -> SearchOut:
        """From the result of the library."""
        changed = {
            "hits": [HitOut.of_hit(hit) for hit in result.hits],
            "took_ms": round(result.took_ms, 2),
            "part": PartOut.of(result.part),
            "without_filters": WithoutFiltersOut.of(result.without_filters),
            "understood": [ChipOut.of(chip) for chip in result.understood],
        }
        return cls.model_validate(_fields(cls, result) | changed)


class SearchIn(FiltersIn):
    """A search by `q`, `text` or `photo_id`, or of all photographs that filters leave."""

    model_config = ConfigDict(extra="forbid")

    text: str | None = Field(None, description="searched as it is", examples=["two dogs play in the snow"])
    q: str | None = Field(
        None, description="what a person types; words such as 2019 are understood as filters", examples=["beach 2019"]
    )
    photo_id: int | None = Field(None, description="find photographs like this one of the library")
    k: int = Field(DEFAULT_K, json_schema_extra={"minimum": 1, "maximum": MAX_K})
    limit: int | None = Field(None, description="another name of `k`")
    min_match: float | None = Field(
        None, description="null: the default of the match", json_schema_extra={"minimum": 0, "maximum": 1}
    )
    head: str | None = Field(None, description="compare photographs with this head of the library")
    box: str | None = Field(
        None,
        description="search with this area of the photograph only: x,y,width,height in fractions of it, upright",
        examples=["0.25,0.1,0.5,0.5"],
    )
    order: Order = Field("match", description="by match, or by date within what matches, oldest or newest first")
    cursor: str | None = Field(None, description="`next_cursor` of the same search")

    def query(self) -> Query:
        """As a query of the library; raises `UsageError`."""
        return Query(
            text=self.text,
            q=self.q,
            photo_id=self.photo_id,
            k=self.k if self.limit is None else self.limit,
            min_match=self.min_match,
            head=self.head,
            box=None if self.box is None else Box.parse(self.box),
            filters=self.filters(),
            order=self.order,
            cursor=self.cursor,
        )


class PhotosOut(BaseModel):
    """Photographs by date."""

    photos: list[ListedPhotoOut]
    total: int = Field(description="number of photographs that the filters leave, ignoring limit and cursor")
    next_cursor: str | None = Field(description="send it as `cursor` for the photographs after these; null at the end")

    @classmethod
    def of(cls, result: SearchResult) -> PhotosOut:
        """From the result of the library."""
        photos = [ListedPhotoOut.of_listed(hit.photograph, hit.details) for hit in result.hits]
        total = result.photographs if result.filtered is None else result.filtered
        return cls(photos=photos, total=total, next_cursor=result.next_cursor)


class FacetCountOut(BaseModel):
    """A value, and how many photographs have it."""

    value: bool | int | str
    count: int


class FacetsOut(BaseModel):
    """How many photographs have which values."""

    photographs: int = Field(description="number of photographs that the filters leave")
    facets: dict[str, list[FacetCountOut]] = Field(
        description="year and month, newest first; stars, most first; camera, lens, country, region, town, folder, "
        "keyword, person, label, format, orientation, is_raw and has_place, most frequent first. A facet is counted "
        "without its own filter, except keyword and person"
    )

    @classmethod
    def of(cls, facets: Facets) -> FacetsOut:
        """From the counts of the library."""
        counts = {
            name: [FacetCountOut(value=each.value, count=each.count) for each in values]
            for name, values in facets.counts.items()
        }
        return cls(photographs=facets.photographs, facets=counts)


class ScoreIn(BaseModel):
    """One text and one photograph of the library."""

    model_config = ConfigDict(extra="forbid")

    photo_id: int
    text: str


class ScoreOut(BaseModel):
    """How well a text fits a photograph."""

    match: float = Field(ge=0, le=1)
    similarity: float = Field(ge=-1, le=1)

    @classmethod
    def of(cls, score: Score) -> ScoreOut:
        """From a score of the library."""
        return cls.model_validate(_fields(cls, score))


class RatingIn(BaseModel):
    """A rating of how well a text fits a photograph: either `grade` or `fits`."""

    model_config = ConfigDict(extra="forbid")

    photo_id: int
    text: str = Field(examples=["two dogs play in the snow"])
    # Strict: true is not a grade of 1, and "3" is not a number.
    grade: StrictInt | None = Field(
        None,
        description="1 does not describe the photograph, 2 minor parts of it, 3 almost, 4 describes it",
        json_schema_extra={"minimum": 1, "maximum": 4},
    )
    fits: StrictBool | None = Field(None, description="whether the text fits")
    rater: str = Field(
        DEFAULT_RATER,
        description="who rates; a new `grade` or `fits` replaces the rater's earlier one",
    )


class RatingOut(BaseModel):
    """A stored rating; either `grade` or `fits` is null."""

    photo_id: int
    text: str
    grade: int | None
    fits: bool | None
    rater: str
    time: datetime = Field(description="UTC")

    @classmethod
    def of(cls, rating: Rating) -> RatingOut:
        """From a row of the catalog."""
        return cls(photo_id=rating.photograph_id, **_fields(cls, rating))


class RatingsOut(BaseModel):
    """Ratings in the order in which they were first given."""

    ratings: list[RatingOut]
    total: int = Field(description="number of ratings, ignoring limit and offset")


class HeadOut(BaseModel):
    """A head of the library: a projection that brings photographs of one kind near each other."""

    name: str
    candidate: str = Field(description="the method that `smysl train similar` chose")
    trained_on: str
    kinds: int = Field(description="number of kinds that it was fitted on")
    models: list[str] = Field(description="the models whose features it projects")
    map10: float | None = Field(description="mean average precision at 10 in per cent; null where it was not measured")
    photographs: int = Field(description="number of photographs that it can find")
    fault: str | None = Field(description="why it cannot be used; null if it can")

    @classmethod
    def of(cls, summary: HeadSummary) -> HeadOut:
        """From a head of the library."""
        return cls.model_validate(_fields(cls, summary))


class HeadsOut(BaseModel):
    """The heads of the library, sorted by name."""

    heads: list[HeadOut]


class ModelOut(BaseModel):
    """The model in use."""

    name: str
    fingerprint: str
    dimension: int
    device: str
    runtime: str = Field(description="runtime of the model: openvino or torch")
    precision: str = Field(description="of the image tower: fp32, bf16, fp16 or int8")
    text_precision: str = Field(description="of the text tower")
    notice: str | None = Field(description="why it is slower than it could be, or null")
    languages: str | None


class IndexOut(BaseModel):
    """The vector index in use."""

    kind: str = Field(description="FAISS name of the index type, which depends on the size")
    photographs: int
    generation: int
    bytes: int = Field(description="of vectors, ids and codes; processes that map the same file share its memory")


class WriterOut(BaseModel):
    """The process that is writing to the library."""

    pid: int
    host: str
    doing: str
    since: str

    @classmethod
    def of(cls, writer: Writer | None) -> WriterOut | None:
        """From the content of the lock file."""
        return None if writer is None else cls.model_validate(_fields(cls, writer))


class StatusOut(BaseModel):
    """Status of a library; `model` and `index` are null before the first index run."""

    library: str
    photographs: int
    roots: list[str]
    bytes: int = Field(description="size of the library folder")
    generation: int = Field(description="number of changes to the photographs so far")
    model: ModelOut | None
    additional_models: list[str] = Field(description="models whose features are stored in addition to those of `model`")
    calibration: CalibrationSource | None = Field(description="where the match of texts comes from")
    trained_on: str | None = Field(description="ratings that the match was fitted on; null without ratings")
    min_match: float | None = Field(description="default threshold of searches by text")
    index: IndexOut | None
    writer: WriterOut | None
    indexing: IndexingOut | None = Field(description="the index run of this service that is going on, or failed")
    watching: list[str] = Field(description="folders that this service watches")
    away: list[str] = Field(description="folders that it watches again when they are back")
    last_run: LastRunOut | None = Field(description="the last index run of this service")

    @classmethod
    def of(cls, library: Library, background: BackgroundOut | None = None) -> StatusOut:
        """The status of a library, its model and its index, and of the index runs of a service."""
        status = library.status()
        model = index = calibration = trained_on = min_match = None
        if status.model is not None:
            target = library.check()
            encoder, vectors, scorer = target.encoder, target.index, target.scorer
            from service.encoder.models import languages_of

            model = ModelOut(languages=languages_of(encoder.name), **_fields(ModelOut, encoder))
            index = IndexOut(photographs=len(vectors), **_fields(IndexOut, vectors))
            calibration, trained_on, min_match = scorer.calibration("text"), scorer.trained_on, scorer.min_match
        return cls(
            library=str(status.library),
            photographs=status.photographs,
            roots=[str(root.path) for root in status.roots],
            bytes=status.bytes,
            generation=status.generation,
            model=model,
            additional_models=list(status.additional_models),
            calibration=calibration,
            trained_on=trained_on,
            min_match=min_match,
            index=index,
            writer=WriterOut.of(status.writer),
            **dict(background or BackgroundOut()),
        )


class HealthOut(BaseModel):
    """The service, its model and its index work."""

    status: str = Field(examples=["ok", "empty"])
    photographs: int


class ErrorDetail(BaseModel):
    """What went wrong: a kind for programs and a message for people."""

    kind: str
    message: str


class ErrorOut(BaseModel):
    """Body of every response that is not 2xx."""

    error: ErrorDetail


def _fields(model: type[BaseModel], source: object) -> dict[str, Any]:
    """The attributes of `source` that have the name of a field of `model`."""
    return {name: getattr(source, name) for name in model.model_fields if hasattr(source, name)}
