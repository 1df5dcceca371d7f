# The service: docker compose up, or docker run with a folder of models at /models and WARMSTART_STORE, WARMSTART_KEYS.
FROM python:3.11-slim-bookworm AS build
WORKDIR /src
COPY pyproject.toml README.md LICENSE constraints.txt ./
COPY src src
# An index with CPU builds of torch, a tenth the size of those for GPUs, may be named: --build-arg PIP_EXTRA_INDEX_URL=...
ARG PIP_EXTRA_INDEX_URL
RUN python -m venv /venv \
    && /venv/bin/pip install --no-cache-dir -c constraints.txt .

FROM python:3.11-slim-bookworm
# implicit and torch share the machine's OpenMP
RUN apt-get update \
    && apt-get install -y --no-install-recommends libgomp1=12.* \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --create-home warmstart \
    && install -d -o warmstart /models /data
COPY --from=build /venv /venv
ENV PATH=/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    WARMSTART_HOST=0.0.0.0 \
    WARMSTART_STORE=sqlite:////data/warmstart.db
USER 10001
WORKDIR /data
VOLUME ["/models", "/data"]
EXPOSE 8080
# a stop waits ten seconds for requests that are under way
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8080/health/ready', timeout=2)"]
ENTRYPOINT ["warmstart"]
CMD ["serve", "/models"]
