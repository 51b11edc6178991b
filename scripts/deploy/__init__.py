"""Deploys the product: `scripts/deploy.sh`. See docs/deployment.md.

checks        make check, make test-fast
release       Chalice's package, with the tables kept outside dev
artifacts     code and templates in S3, named by their content
bucket        whether the bucket is fit for them
stack         the CloudFormation stack: its state, change sets, progress
functions     the code that runs, and replacing it alone
smoke         whether what was deployed works
deployment    the whole: propose, ask, execute, try, go back
"""
