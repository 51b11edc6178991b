"""Holds policies and role templates against AWS's service authorization reference.

documents     templates and policies: their statements, with CloudFormation's intrinsics resolved
arns          whether an ARN of a policy can name a resource of a type
reference     what AWS knows: actions, their resource types, condition keys
findings      what is wrong with a statement
"""
