"""Simulated AWS Elastic Disaster Recovery: one core, an adapter for MiniStack and one for moto.

Reading order is the order of a request: an adapter (`ministack_service`, `moto_backend`) hands it to `frontend`, which
asks for faults and lets `core` route and validate it (`service_model`, `validation`) and run an operation
(`operations`, with the rules in `extensions`, `recovery` and `failback`) on the `state`, which `records`,
`recovery_records` and `motion` turn into wire records.
`control` seeds and changes the state from outside.
"""
