"""The servers of `infra/local/servers`: how they are installed, started, found and stopped."""
