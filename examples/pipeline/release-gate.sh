#!/bin/sh
# What a release job runs after the build: upload the image, wait, keep the reports, and stop the release when the gate fails.
#
# usage: release-gate.sh IMAGE VERSION
#
# FWCHECK_SERVER   the service, as https://fwcheck.example
# FWCHECK_TOKEN    a token with the role uploader, from the secrets of the pipeline
# PRODUCT          whose firmware it is
# LEVEL            the level that must not be refuted (default: STAR-1)
# REPORTS          where the reports go (default: fwcheck-reports)
#
# The exit status is the gate's: 0 the release may go on, 1 it may not, 2 something has to be mended in the job, 3 too little of
# the image could be read to judge it.
set -eu

image=$1
version=$2

exec "${FWCHECK:-fwcheck}" upload "$image" \
    --product "$PRODUCT" --version "$version" \
    --target "${LEVEL:-STAR-1}" --min-tier "${LEVEL:-STAR-1}" \
    --format json,html,sarif,cyclonedx,junit --output "${REPORTS:-fwcheck-reports}" --quiet
