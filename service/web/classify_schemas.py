"""Models of classified photographs, one line of JSON each over HTTP and in `--json`."""

from __future__ import annotations

from pydantic import BaseModel, Field

from service.search.classify import Classification, Classified, Neighbour
from service.web.photo_schemas import PhotoOut
from service.web.schemas import ErrorDetail


class NeighbourOut(PhotoOut):
    """A photograph of the library that voted or is recommended."""

    kind: str
    similarity: float = Field(
        ge=-1, le=1, description="cosine of the two photographs' vectors, projected by the head if any"
    )

    @classmethod
    def of_neighbour(cls, neighbour: Neighbour) -> NeighbourOut:
        """From a neighbour of the library."""
        facts = PhotoOut.of(neighbour.photograph).model_dump()
        return cls.model_validate(facts | {"kind": neighbour.kind, "similarity": neighbour.similarity})


class ClassifiedOut(BaseModel):
    """A classified photograph."""

    file: str = Field(description="name or path of the photograph in the request")
    kind: str = Field(description="the kind that the neighbours voted for, even where it counts as unknown")
    confidence: float = Field(ge=0, le=1, description="probability that the kind is right")
    known: bool = Field(description="whether the confidence reaches the threshold; if not, the kind counts as unknown")
    in_library: bool = Field(description="whether the library holds the same file, which then did not vote")
    neighbours: list[NeighbourOut] = Field(description="the nearest photographs with a kind, nearest first")
    recommended: list[NeighbourOut] = Field(
        description="the same number of photographs; those of the kind come first where it is known"
    )


class UnclassifiedOut(BaseModel):
    """A photograph that could not be classified; with `file` null the error that ended the whole response."""

    file: str | None
    error: ErrorDetail


def line_of(answer: Classification) -> str:
    """A classification as one line of JSON."""
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
