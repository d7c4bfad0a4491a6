# docker build -t source-instagram .
# docker run --rm -v "$PWD/secrets:/secrets" source-instagram check --config /secrets/config.json
ARG BASE_IMAGE=docker.io/airbyte/python-connector-base:4.0.2

FROM ${BASE_IMAGE} AS build
USER root
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY source_instagram ./source_instagram
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheels .

FROM ${BASE_IMAGE}
USER root
WORKDIR /airbyte/integration_code
COPY --from=build /wheels /wheels
# Byte-compiled, for the user who runs it cannot write here: without, every start takes twice as long.
RUN pip install --no-cache-dir --compile /wheels/*.whl && rm -r /wheels
COPY main.py ./
USER airbyte
ENV AIRBYTE_ENTRYPOINT="python /airbyte/integration_code/main.py"
ENTRYPOINT ["python", "/airbyte/integration_code/main.py"]
