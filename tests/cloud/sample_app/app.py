"""A Chalice app with every kind of trigger, on which the smoke tests of the local cloud stand."""

from chalice import Chalice, CORSConfig, IAMAuthorizer, Rate, Response

from chalicelib import handlers

app = Chalice(app_name="sample")
app.api.binary_types.append("application/octet-stream")
signed = IAMAuthorizer()


@app.route("/open", cors=CORSConfig(allow_origin="https://ui.example", allow_credentials=True))
def open_route():
    return {"ok": True}


@app.route("/signed", methods=["GET", "POST"], authorizer=signed)
def signed_route():
    return {"ok": True, "body": app.current_request.json_body}


@app.route("/reversed", methods=["POST"], content_types=["application/octet-stream"])
def reversed_bytes():
    return Response(app.current_request.raw_body[::-1], headers={"Content-Type": "application/octet-stream"})


@app.lambda_function(name="probe")
def probe(event, context):
    return handlers.probe(event)


@app.lambda_function(name="raiser")
def raiser(event, context):
    handlers.log("raiser", str(event.get("id")))
    raise RuntimeError("always")


@app.lambda_function(name="fragile")
def fragile(event, context):
    return handlers.fragile(event)


@app.on_sqs_message(queue="sample-work", batch_size=5, maximum_concurrency=8, name="on_work")
def on_work(event):
    return handlers.messages(event.to_dict()["Records"])


@app.on_sqs_message(queue="sample-other", batch_size=1, name="on_other")
def on_other(event):
    return handlers.messages(event.to_dict()["Records"])


@app.on_sqs_message(queue="sample-idle", batch_size=1, name="on_idle")
def on_idle(event):
    return None


@app.on_dynamodb_record(
    stream_arn="arn:aws:dynamodb:us-east-1:111111111111:table/sample-partial/stream/placeholder",
    batch_size=10,
    starting_position="TRIM_HORIZON",
    name="on_partial",
)
def on_partial(event):
    return handlers.records(event.to_dict()["Records"], partial=True)


@app.on_dynamodb_record(
    stream_arn="arn:aws:dynamodb:us-east-1:111111111111:table/sample-bisect/stream/placeholder",
    batch_size=10,
    starting_position="TRIM_HORIZON",
    name="on_bisect",
)
def on_bisect(event):
    return handlers.records(event.to_dict()["Records"], partial=False)


@app.schedule(Rate(1, unit=Rate.MINUTES), name="tick")
def tick(event):
    handlers.log("tick", event.to_dict()["time"])


@app.on_cw_event({"source": ["sample.custom"]}, name="on_bus")
def on_bus(event):
    handlers.log("bus", event.detail["id"])
    if event.detail.get("fail"):
        raise RuntimeError("asked to fail")
