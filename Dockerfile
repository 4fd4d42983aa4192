# One image for the web, the worker, the trainer and beat: compose.yaml says which runs what.
# Tags move. A build that must be repeatable names the digest as well:
#   docker buildx imagetools inspect python:3.13-slim            # prints the digest
#   docker build --build-arg PYTHON_IMAGE=python:3.13-slim@sha256:… .
ARG PYTHON_IMAGE=python:3.13-slim

FROM ${PYTHON_IMAGE} AS build
# The time of the commit, for all that would otherwise store the time of the build.
ARG SOURCE_DATE_EPOCH
# `--build-arg EXTRAS="s3 neural"` adds PyTorch, which only the trainer needs.
ARG EXTRAS=s3
RUN pip install --no-cache-dir poetry==2.5.1 && python -m venv --without-pip /app/.venv
WORKDIR /app
COPY pyproject.toml poetry.lock ./
# Without the groups `embedded`, whose servers `make run` starts, and `dev`. The lock has a checksum
# for each file.
RUN VIRTUAL_ENV=/app/.venv poetry install --only main --extras "${EXTRAS}" --no-interaction --no-cache
# The tests of packages, which no program imports: 54 of 503 MB, with their bytecode.
RUN find .venv/lib -type d -name tests -prune -exec rm -r {} +
# Bytecode that names no time of a file: the same source makes the same image. Nothing in the image
# changes, so Python does not look whether the source did.
RUN python -m compileall -q -j 0 --invalidation-mode unchecked-hash .venv/lib
WORKDIR /source
COPY manage.py ./
COPY cinema cinema
COPY movies movies
COPY recommendations recommendations
COPY users users
RUN chmod -R a+rX . \
    && CINEMA_HOME=/tmp/build DATABASE_URL=postgres:///build REDIS_URL=redis://build SECRET_KEY=build \
        STATIC_ROOT=/source/static-root /app/.venv/bin/python -B manage.py collectstatic --no-input \
    && python -m compileall -q -s /source -p /app --invalidation-mode unchecked-hash .

FROM ${PYTHON_IMAGE}
ARG SOURCE_DATE_EPOCH
# implicit's OpenMP: the only thing that the lock and the digest do not fix, as Debian has one version at a time.
RUN apt-get update && apt-get install --yes --no-install-recommends libgomp1 \
    && rm -rf /var/lib/apt/lists/* /var/log/apt /var/log/dpkg.log /var/cache/ldconfig/aux-cache
# A fixed number, for the owner of volumes and of secrets; read-only but for /data and /tmp.
RUN groupadd --system --gid 999 cinema \
    && useradd --system --uid 999 --gid cinema --create-home --home-dir /data cinema \
    && install --directory --owner=cinema --group=cinema --mode=700 /data/tmp
WORKDIR /app
COPY --from=build /app/.venv .venv
COPY --from=build /source .
ENV PATH="/app/.venv/bin:$PATH" \
    CINEMA_HOME=/data \
    HOST=0.0.0.0 \
    OPENBLAS_NUM_THREADS=1 \
    PYTHONUNBUFFERED=1 \
    STATIC_ROOT=/app/static-root
USER 999:999
VOLUME /data
EXPOSE 8000
# compose.yaml has those of the other programs.
HEALTHCHECK --interval=10s --timeout=10s --start-period=60s CMD ["python", "-IS", "cinema/healthcheck.py", "web"]
CMD ["python", "-m", "cinema.programs", "web"]
