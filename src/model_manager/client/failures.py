"""The system's words for a failed connection become ours."""

import http.client
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager

from model_manager.client.errors import NotReachable

START_HINT = "Start it with `model-manager serve` (or `quickstart`), or name its address with --url."


@contextmanager
def sentences(url: str, timeout: float) -> Iterator[None]:
    """Raises NotReachable for whatever a connection to `url` dies of; `timeout` in seconds is what was waited for."""
    try:
        yield
    except ConnectionRefusedError as e:
        raise NotReachable(f"Model Manager does not answer at {url}.", START_HINT) from e
    except TimeoutError as e:
        raise NotReachable(
            f"Model Manager did not answer at {url} within {timeout:.0f} s.",
            "Look at its log: it may be overloaded, or something else may listen there.",
        ) from e
    except socket.gaierror as e:
        raise NotReachable(
            f"The host of {url} is not known here.", "Check the address given with --url."
        ) from e
    except ssl.SSLCertVerificationError as e:
        raise NotReachable(
            f"The certificate of {url} is not trusted here: {e.verify_message}.",
            "If an authority of your own signed it, name that authority's file in SSL_CERT_FILE.",
        ) from e
    except ssl.SSLError as e:
        raise NotReachable(
            f"The TLS connection to {url} failed: {e.reason}.",
            "Check the certificate, or write http:// when the service speaks plain HTTP.",
        ) from e
    except (http.client.HTTPException, ConnectionError, EOFError) as e:
        raise NotReachable(
            f"The connection to {url} broke off.",
            "The service may have stopped, or it speaks TLS: then its address begins with https://.",
        ) from e
    except OSError as e:
        raise NotReachable(f"{url} cannot be reached: {e.strerror or e}.", START_HINT) from e
