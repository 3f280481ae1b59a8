# A CPU image of smysl with the model's weights inside:
#
#   docker build --tag smysl .
#   docker build --tag smysl --build-arg MODEL=ViT-B-32-SigLIP2-256/webli .
#   docker run --publish 127.0.0.1:8000:8000 --volume /my/photographs:/photographs:ro --volume smysl:/library smysl
#
# The steps are those of a machine without Docker: a virtual environment, torch, `pip install .`.

FROM python:3.12-slim AS build

ARG MODEL=mini

ENV PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    HF_HOME=/opt/models

RUN python -m venv /opt/smysl
ENV PATH=/opt/smysl/bin:$PATH

# Before the source, so that a change of the source does not download torch again.
# uv finds the wheels of torch without CUDA, which would add gigabytes.
RUN pip install uv==0.13.9 \
    && uv pip install --python /opt/smysl/bin/python --torch-backend=cpu torch==2.13.0 torchvision==0.28.0

WORKDIR /source
COPY pyproject.toml README.md LICENSE smysl.py ./
COPY service service
COPY training training
COPY data data
COPY eval eval
RUN pip install .

# Outside the source folder, so that Python imports the installed package.
WORKDIR /opt/models
RUN python -c "import sys; from service.encoder.models import ensure_downloaded; ensure_downloaded(sys.argv[1], timeout_s=30)" "$MODEL"


FROM python:3.12-slim

ARG MODEL=mini

RUN useradd --uid 10001 --create-home smysl \
    && install --directory --owner=smysl --group=smysl /library /photographs

COPY --from=build /opt/smysl /opt/smysl
COPY --from=build --chown=smysl:smysl /opt/models /opt/models

ENV PATH=/opt/smysl/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    HF_HOME=/opt/models \
    SMYSL_LIBRARY=/library \
    SMYSL_MODEL=$MODEL

USER 10001
WORKDIR /home/smysl
VOLUME ["/library", "/photographs"]
EXPOSE 8000

# urlopen raises for every unsuccessful status, so the exit code is not 0. The image has no curl.
HEALTHCHECK --interval=30s --timeout=10s --start-period=120s --retries=3 \
    CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8000/health', timeout=8)"]

ENTRYPOINT ["smysl"]
# Listens on all addresses of the container; --publish decides who can reach it.
CMD ["serve", "--host", "0.0.0.0", "--port", "8000", "/photographs"]
