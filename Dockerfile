# One image for the web, the worker, the trainer and beat: compose.yaml says which runs what.
FROM python:3.13-slim AS build
RUN pip install --no-cache-dir "poetry>=2.5,<3"
WORKDIR /app
COPY pyproject.toml poetry.lock ./
# Without the group `embedded`, whose servers `make run` starts.
# `--build-arg EXTRAS="s3 neural"` adds PyTorch, which only the trainer needs.
ARG EXTRAS=s3
RUN POETRY_VIRTUALENVS_IN_PROJECT=true poetry install --only main --extras "${EXTRAS}" --no-interaction --compile

FROM python:3.13-slim
# implicit's OpenMP
RUN apt-get update && apt-get install --yes --no-install-recommends libgomp1 \
    && rm -rf /var/lib/apt/lists/*
# A fixed number, for the owner of volumes and of secrets; read-only but for /data and /tmp.
RUN groupadd --system --gid 999 cinema \
    && useradd --system --uid 999 --gid cinema --create-home --home-dir /data cinema \
    && install --directory --owner=cinema --group=cinema --mode=700 /data/tmp
WORKDIR /app
COPY --from=build /app/.venv .venv
COPY . .
ENV PATH="/app/.venv/bin:$PATH" \
    CINEMA_HOME=/data \
    HOST=0.0.0.0 \
    OPENBLAS_NUM_THREADS=1 \
    PYTHONUNBUFFERED=1 \
    STATIC_ROOT=/app/static-root
RUN DATABASE_URL=postgres:///build REDIS_URL=redis://build SECRET_KEY=build \
    python manage.py collectstatic --no-input \
    && python -m compileall -q cinema movies recommendations users
USER 999:999
VOLUME /data
EXPOSE 8000
CMD ["python", "-m", "cinema.programs", "web"]
