"""The shapes that go over HTTP and into `--json`; field names are the product's words."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictInt

from service.heads.registry import HeadFacts
from service.library import Library
from service.match.scorer import CalibrationSource
from service.photos.crop import Box
from service.search.hits import Hit, Score, SearchResult
from service.search.query import DEFAULT_K, MOST_K, Query
from service.store.lock import Writer
from service.store.ratings import SOMEBODY
from service.store.records import Rating, Record


class Links(BaseModel):
    """Where else to look."""

    photo: str
    image: str
    thumbnail: str

    @classmethod
    def of(cls, identity: int) -> Links:
        """The links of one photograph."""
        base = f"/photos/{identity}"
        return cls(photo=base, image=f"{base}/image", thumbnail=f"{base}/thumbnail")


class PhotoOut(BaseModel):
    """A photograph of the library."""

    id: int
    uri: str = Field(description="path of the file")
    name: str = Field(description="name of the file")
    width: int = Field(description="pixels, upright")
    height: int = Field(description="pixels, upright")
    format: str
    bytes: int = Field(description="size of the file")
    links: Links

    @classmethod
    def of(cls, record: Record) -> PhotoOut:
        """From a row of the catalog."""
        return cls.model_validate(_photograph(record))


class HitOut(PhotoOut):
    """A photograph that was found."""

    match: float = Field(ge=0, le=1, description="how well it fits, the same scale for every query")
    similarity: float = Field(ge=-1, le=1, description="cosine of the query's and the photograph's vectors")

    @classmethod
    def of_hit(cls, hit: Hit) -> HitOut:
        """From a hit of the search."""
        return cls.model_validate({**_photograph(hit.photograph), "match": hit.match, "similarity": hit.similarity})


class PartOut(BaseModel):
    """A part of a photograph, in fractions of its upright width and height; x and y from the top left."""

    x: float = Field(ge=0, le=1)
    y: float = Field(ge=0, le=1)
    width: float = Field(ge=0, le=1)
    height: float = Field(ge=0, le=1)

    @classmethod
    def of(cls, box: Box | None) -> PartOut | None:
        """From a box, which may reach over the photograph by a rounding."""
        if box is None:
            return None
        names = ("x", "y", "width", "height")
        return cls(**{name: round(min(1.0, max(0.0, getattr(box, name))), 4) for name in names})


class SearchOut(BaseModel):
    """The answer to a search."""

    hits: list[HitOut]
    took_ms: float
    model: str
    head: str | None = Field(description="the head that photographs were compared by; null without one")
    calibration: CalibrationSource = Field(description="where the match comes from")
    min_match: float = Field(description="the cut that was applied: the one asked for, or the match's own")
    answerable: bool = Field(
        description="whether any photograph reached both this cut and the match's own; hits that did not are only the "
        "nearest"
    )
    best_match: float | None = Field(description="the best match seen, shown or not; null in an empty library")
    notice: str | None = Field(description="a sentence for the person, if there is something to say")
    photographs: int = Field(description="photographs that were searched")
    part: PartOut | None = Field(description="what was searched with of the query's photograph; null for all of it")
    borders_left_out: bool = Field(description="whether that part is what the photograph's borders leave")

    @classmethod
    def of(cls, result: SearchResult) -> SearchOut:
        """From the search's own result."""
        return cls(
            hits=[HitOut.of_hit(hit) for hit in result.hits],
            took_ms=round(result.took_ms, 2),
            model=result.model,
            head=result.head,
            calibration=result.calibration,
            min_match=result.min_match,
            answerable=result.answerable,
            best_match=result.best_match,
            notice=result.notice,
            photographs=result.photographs,
            part=PartOut.of(result.part),
            borders_left_out=result.borders_left_out,
        )


class SearchIn(BaseModel):
    """A search by exactly one of `text` and `photo_id`."""

    model_config = ConfigDict(extra="forbid")

    text: str | None = Field(None, examples=["two dogs play in the snow"])
    photo_id: int | None = Field(None, description="find photographs like this one of the library")
    k: int = Field(DEFAULT_K, json_schema_extra={"minimum": 1, "maximum": MOST_K})
    min_match: float | None = Field(
        None, description="null: the match's own cut", json_schema_extra={"minimum": 0, "maximum": 1}
    )
    head: str | None = Field(None, description="compare photographs by this head of the library")
    box: str | None = Field(
        None,
        description="search with this part of the photograph only: x,y,width,height in fractions of it, upright",
        examples=["0.25,0.1,0.5,0.5"],
    )

    def query(self) -> Query:
        """As the library takes it; raises `UsageError`."""
        box = None if self.box is None else Box.parse(self.box)
        return Query(**self.model_dump(exclude={"box"}), box=box)


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
        """From the library's own score."""
        return cls(match=score.match, similarity=score.similarity)


class RatingIn(BaseModel):
    """What somebody says of how well a text fits a photograph: exactly one of `grade` and `fits`."""

    model_config = ConfigDict(extra="forbid")

    photo_id: int
    text: str = Field(examples=["two dogs play in the snow"])
    # A yes is no grade of 1, and "3" no number.
    grade: StrictInt | None = Field(
        None,
        description="1 does not describe the photograph, 2 minor parts of it, 3 almost, 4 describes it",
        json_schema_extra={"minimum": 1, "maximum": 4},
    )
    fits: StrictBool | None = Field(None, description="whether the text fits")
    rater: str = Field(SOMEBODY, description="who says so; one rater has one rating of each kind for the two")


class RatingOut(BaseModel):
    """A rating; `grade` or `fits` is null, whichever was not given."""

    photo_id: int
    text: str
    grade: int | None
    fits: bool | None
    rater: str
    time: datetime = Field(description="UTC")

    @classmethod
    def of(cls, rating: Rating) -> RatingOut:
        """From a row of the catalog."""
        return cls(
            photo_id=rating.photograph_id,
            text=rating.text,
            grade=rating.grade,
            fits=rating.fits,
            rater=rating.rater,
            time=rating.time,
        )


class RatingsOut(BaseModel):
    """Ratings in the order in which they were first given."""

    ratings: list[RatingOut]
    total: int = Field(description="how many there are without limit and offset")


class HeadOut(BaseModel):
    """A head of the library, by which photographs of one kind are near each other."""

    name: str
    candidate: str = Field(description="what was chosen among the ways that `smysl train similar` compares")
    trained_on: str
    kinds: int = Field(description="kinds that it was fitted on")
    models: list[str] = Field(description="the models at whose features it looks")
    map10: float | None = Field(description="mean average precision among ten, in per cent, where it was measured")
    photographs: int = Field(description="photographs that can be found with it")
    fault: str | None = Field(description="why it cannot be used; null for a head that can")

    @classmethod
    def of(cls, facts: HeadFacts) -> HeadOut:
        """From what the library knows."""
        return cls(**asdict(facts))


class HeadsOut(BaseModel):
    """The heads of the library, in the order of their names."""

    heads: list[HeadOut]


class ModelOut(BaseModel):
    """The model in use."""

    name: str
    fingerprint: str
    dimension: int
    device: str
    runtime: str = Field(description="what computes the towers: openvino or torch")
    precision: str = Field(description="of the photograph tower: fp32, bf16, fp16 or int8")
    text_precision: str = Field(description="of the text tower")
    notice: str | None = Field(description="why it is slower than it might be; null where it is not")
    languages: str | None


class IndexOut(BaseModel):
    """The vector index in use."""

    kind: str = Field(description="what FAISS calls the way in which it is searched, which depends on its size")
    photographs: int
    generation: int
    bytes: int = Field(description="of vectors, ids and codes; what lies in a file is shared by all who map it")


class WriterOut(BaseModel):
    """The process that is writing to the library."""

    pid: int
    host: str
    doing: str
    since: str

    @classmethod
    def of(cls, writer: Writer | None) -> WriterOut | None:
        """From the lock's own note."""
        if writer is None:
            return None
        return cls(pid=writer.pid, host=writer.host, doing=writer.doing, since=writer.since)


class IndexingOut(BaseModel):
    """How far this service's own index run is."""

    done: int
    total: int
    failed: int
    error: str | None = Field(description="why the run ended before its end, if it did")


class StatusOut(BaseModel):
    """Facts about a library; `model` and `index` are null before the first index run."""

    library: str
    photographs: int
    roots: list[str]
    bytes: int = Field(description="size of the library folder")
    generation: int = Field(description="how many times the photographs have been changed")
    model: ModelOut | None
    additional_models: list[str] = Field(description="models whose features are kept beside those of `model`")
    calibration: CalibrationSource | None = Field(description="where the match of texts comes from")
    trained_on: str | None = Field(description="which ratings the match was fitted on; null without ratings")
    min_match: float | None = Field(description="the cut that searches by text apply where none is asked for")
    index: IndexOut | None
    writer: WriterOut | None
    indexing: IndexingOut | None = None

    @classmethod
    def of(cls, library: Library) -> StatusOut:
        """Ask a library, its model and its index."""
        status = library.status()
        model = index = calibration = trained_on = min_match = None
        if status.model is not None:
            target = library.check()
            encoder, vectors, scorer = target.encoder, target.index, target.scorer
            from service.encoder.models import languages_of

            model = ModelOut(
                name=encoder.name,
                fingerprint=encoder.fingerprint,
                dimension=encoder.dimension,
                device=encoder.device,
                runtime=encoder.runtime,
                precision=encoder.precision,
                text_precision=encoder.text_precision,
                notice=encoder.notice,
                languages=languages_of(encoder.name),
            )
            index = IndexOut(
                kind=vectors.kind,
                photographs=len(vectors),
                generation=vectors.generation,
                bytes=vectors.bytes,
            )
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
        )


class HealthOut(BaseModel):
    """The service answers, and so do its model and its index."""

    status: str = Field(examples=["ok", "empty"])
    photographs: int


class ErrorDetail(BaseModel):
    """What went wrong, for a program and for a person."""

    kind: str
    message: str


class ErrorOut(BaseModel):
    """Every answer that is not 2xx."""

    error: ErrorDetail


def _photograph(record: Record) -> dict[str, object]:
    return {
        "id": record.id,
        "uri": str(record.path),
        "name": record.name,
        "width": record.width,
        "height": record.height,
        "format": record.format,
        "bytes": record.size,
        "links": Links.of(record.id),
    }
