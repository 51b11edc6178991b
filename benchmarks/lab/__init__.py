"""A laboratory: AWS in this process, behind botocore itself, and the real product on it.

Every request that botocore would send is answered here: DRS by the simulated DRS of `sandbox/drs`, DynamoDB by
MiniStack's, EC2, STS and SQS by small modules of this package. Signing, serialising, parsing, retries and pools are
botocore's. What is left out is the network, IAM, and Lambda's event sources, whose part `product` plays.
"""
