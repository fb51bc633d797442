# fwcheck without anything else: no shell scripts, no root, no network at run time, nothing written but reports and /tmp.
#
#   docker build -t fwcheck .
#   docker run --rm --read-only --network none --cap-drop ALL --security-opt no-new-privileges --tmpfs /tmp \
#     --user "$(id -u):$(id -g)" -v "$PWD:/work" fwcheck scan router.bin --format json,html --output reports
ARG PYTHON=3.13
FROM python:${PYTHON}-slim AS build
WORKDIR /source
RUN python -m venv /opt/fwcheck
COPY requirements/run.lock requirements/run.lock
RUN /opt/fwcheck/bin/python -m pip install --no-cache-dir --disable-pip-version-check --requirement requirements/run.lock
COPY pyproject.toml README.md LICENSE ./
COPY rules rules
COPY fwcheck fwcheck
RUN /opt/fwcheck/bin/python -m pip install --no-cache-dir --disable-pip-version-check --no-deps . \
    && /opt/fwcheck/bin/python -m compileall -q /opt/fwcheck/lib

FROM python:${PYTHON}-slim
LABEL org.opencontainers.image.title="fwcheck" \
      org.opencontainers.image.description="Holds firmware images against JC-STAR levels, with proof down to the byte" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /opt/fwcheck /opt/fwcheck
# The cache lies on the tmpfs; mount a volume there to keep it between runs.
ENV PATH=/opt/fwcheck/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    XDG_CACHE_HOME=/tmp/cache \
    XDG_DATA_HOME=/tmp/data \
    HOME=/tmp
USER 65532:65532
WORKDIR /work
ENTRYPOINT ["fwcheck"]
CMD ["--help"]
