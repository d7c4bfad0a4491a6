"""The connector as a script, for the Docker image; the same as the command source-instagram."""

from source_instagram.run import run

if __name__ == "__main__":
    run()
