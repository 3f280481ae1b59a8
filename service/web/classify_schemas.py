"""The shapes in which classified photographs go over HTTP and into `--json`: one line each."""

from __future__ import annotations

from pydantic import BaseModel, Field

from service.search.classify import Classification, Classified, Neighbour
from service.web.schemas import ErrorDetail, PhotoOut


class NeighbourOut(PhotoOut):
    """A photograph of the library that voted, or that is recommended."""

    kind: str
    similarity: float = Field(ge=-1, le=1, description="cosine of the two photographs' vectors, or of a head's")

    @classmethod
    def of_neighbour(cls, neighbour: Neighbour) -> NeighbourOut:
        """From the library's own answer."""
        facts = PhotoOut.of(neighbour.photograph).model_dump()
        return cls.model_validate(facts | {"kind": neighbour.kind, "similarity": neighbour.similarity})


class ClassifiedOut(BaseModel):
    """The kind of a photograph."""

    file: str = Field(description="the name that the photograph came with")
    kind: str = Field(description="what the nearest voted for, whether or not it is known")
    confidence: float = Field(ge=0, le=1, description="probability that the kind is right")
    known: bool = Field(description="whether the confidence reaches the threshold; the kind is unknown where not")
    in_library: bool = Field(description="whether the library holds this very file, which did not vote then")
    neighbours: list[NeighbourOut] = Field(description="the nearest photographs with a kind, nearest first")
    recommended: list[NeighbourOut] = Field(
        description="as many, those of the kind before the others where it is known"
    )


class UnclassifiedOut(BaseModel):
    """A photograph that could not be classified; without a name, the fault that ended the answer."""

    file: str | None
    error: ErrorDetail


def line_of(answer: Classification) -> str:
    """An answer as one line of JSON."""
    if isinstance(answer, Classified):
        return ClassifiedOut(
            file=answer.file,
            kind=answer.kind,
            confidence=answer.confidence,
            known=answer.known,
            in_library=answer.in_library,
            neighbours=[NeighbourOut.of_neighbour(each) for each in answer.neighbours],
            recommended=[NeighbourOut.of_neighbour(each) for each in answer.recommended],
        ).model_dump_json()
    message = f"The photograph cannot be classified: {answer.reason}."
    return UnclassifiedOut(file=answer.file, error=ErrorDetail(kind=answer.error, message=message)).model_dump_json()
