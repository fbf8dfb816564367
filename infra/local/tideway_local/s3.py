"""The one S3 request that is needed here: create a bucket (signature version 4, standard library)."""

import datetime
import hashlib
import hmac
import urllib.error
import urllib.request

from .paths import Problem

REGION = "us-east-1"


def _hmac(key, text):
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


def create_bucket(host, bucket, access_key, secret_key):
    """Creates a bucket; that it exists already is fine. Raises OSError while the server is not up."""
    now = datetime.datetime.now(datetime.timezone.utc)
    stamp, day = now.strftime("%Y%m%dT%H%M%SZ"), now.strftime("%Y%m%d")
    empty = hashlib.sha256(b"").hexdigest()
    headers = {"host": host, "x-amz-content-sha256": empty, "x-amz-date": stamp}
    names = ";".join(sorted(headers))
    canonical = "\n".join(
        ["PUT", f"/{bucket}", "", *(f"{key}:{headers[key]}" for key in sorted(headers)), "", names, empty]
    )
    scope = f"{day}/{REGION}/s3/aws4_request"
    hashed = hashlib.sha256(canonical.encode()).hexdigest()
    to_sign = "\n".join(["AWS4-HMAC-SHA256", stamp, scope, hashed])
    key = f"AWS4{secret_key}".encode()
    for part in (day, REGION, "s3", "aws4_request"):
        key = _hmac(key, part)
    signature = hmac.new(key, to_sign.encode(), hashlib.sha256).hexdigest()
    headers["authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={access_key}/{scope}, SignedHeaders={names}, Signature={signature}"
    )
    request = urllib.request.Request(f"http://{host}/{bucket}", method="PUT", headers=headers)
    # No proxy for 127.0.0.1, whatever the environment says.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        opener.open(request, timeout=5).close()
    except urllib.error.HTTPError as error:
        body = error.read().decode(errors="replace")
        if error.code == 409 and "BucketAlreadyOwnedByYou" in body:
            return
        if error.code == 503:
            raise OSError("not ready") from error
        raise Problem(f"MinIO refused to create bucket {bucket}: {error.code} {body:.300}") from error
