"""Makes a release: one version for all distributions, a changelog from its fragments, wheels that were checked.

`./dev release 0.2.0 --dry-run` does everything in a copy of the repository and tells what came of it. Without
`--dry-run` it then does the same here, commits and tags. It publishes nothing: pushing the tag does, by
`.github/workflows/release.yml`.
"""
