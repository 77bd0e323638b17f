# How GitHub's workflows reach the account: tokens of single runs, no stored keys. The plan role reads and is for pull
# requests; the apply role is for jobs of the environment, which GitHub starts after its approval.

locals {
  issuer = "token.actions.githubusercontent.com"

  subjects = {
    plan  = ["repo:${var.repository}:pull_request", "repo:${var.repository}:ref:refs/heads/main"]
    apply = ["repo:${var.repository}:environment:${var.environment}"]
  }

  trust = { for role, subjects in local.subjects : role => jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Federated = var.oidc_provider_arn }
      Action    = "sts:AssumeRoleWithWebIdentity"
      Condition = { StringEquals = { "${local.issuer}:aud" = "sts.amazonaws.com", "${local.issuer}:sub" = subjects } }
    }]
  }) }

  buckets  = ["arn:aws:s3:::${var.name}-lake", "arn:aws:s3:::${var.name}-logs", "arn:aws:s3:::${var.name}-access"]
  roles    = ["arn:aws:iam::${var.account_id}:role/${var.name}-*"]
  profiles = ["arn:aws:iam::${var.account_id}:instance-profile/${var.name}-*"]
  secrets  = ["arn:aws:secretsmanager:${var.region}:${var.account_id}:secret:${var.name}/*"]
  groups   = ["arn:aws:logs:${var.region}:${var.account_id}:log-group:/${var.name}/*"]
  bounded  = { StringEquals = { "iam:PermissionsBoundary" = aws_iam_policy.boundary.arn } }

  # What the provider reads to compare. No object, no secret's value.
  read = [
    {
      Sid    = "ReadBuckets"
      Effect = "Allow"
      Action = [
        "s3:GetAccelerateConfiguration", "s3:GetBucketAcl", "s3:GetBucketCORS", "s3:GetBucketLogging",
        "s3:GetBucketObjectLockConfiguration", "s3:GetBucketOwnershipControls", "s3:GetBucketPolicy",
        "s3:GetBucketPublicAccessBlock", "s3:GetBucketRequestPayment", "s3:GetBucketTagging", "s3:GetBucketVersioning",
        "s3:GetBucketWebsite", "s3:GetEncryptionConfiguration", "s3:GetLifecycleConfiguration",
        "s3:GetReplicationConfiguration", "s3:ListBucket",
      ]
      Resource = local.buckets
    },
    {
      Sid    = "ReadRoles"
      Effect = "Allow"
      Action = [
        "iam:GetInstanceProfile", "iam:GetRole", "iam:GetRolePolicy", "iam:ListAttachedRolePolicies",
        "iam:ListInstanceProfilesForRole", "iam:ListRolePolicies", "iam:ListRoleTags",
      ]
      Resource = concat(local.roles, local.profiles)
    },
    {
      Sid      = "ReadSecretsWithoutValues"
      Effect   = "Allow"
      Action   = ["secretsmanager:DescribeSecret", "secretsmanager:GetResourcePolicy"]
      Resource = local.secrets
    },
    {
      Sid      = "ReadLogGroups"
      Effect   = "Allow"
      Action   = ["logs:DescribeLogGroups", "logs:ListTagsForResource"]
      Resource = ["arn:aws:logs:${var.region}:${var.account_id}:log-group:*"]
    },
    {
      Sid      = "ReadState"
      Effect   = "Allow"
      Action   = ["s3:GetObject"]
      Resource = ["${var.state_bucket_arn}/${var.state_key}"]
    },
    {
      Sid       = "FindState"
      Effect    = "Allow"
      Action    = ["s3:ListBucket"]
      Resource  = [var.state_bucket_arn]
      Condition = { StringLike = { "s3:prefix" = [var.state_key, "${var.state_key}.tflock", "env:/"] } }
    },
  ]

  change = [
    {
      Sid    = "ChangeBuckets"
      Effect = "Allow"
      Action = [
        "s3:CreateBucket", "s3:PutBucketLogging", "s3:PutBucketOwnershipControls", "s3:PutBucketPolicy",
        "s3:PutBucketPublicAccessBlock", "s3:PutBucketTagging", "s3:PutBucketVersioning", "s3:PutEncryptionConfiguration",
        "s3:PutLifecycleConfiguration",
      ]
      Resource = local.buckets
    },
    {
      # A role, and a policy of a role, only under the boundary.
      Sid       = "MakeRoles"
      Effect    = "Allow"
      Action    = ["iam:CreateRole", "iam:DeleteRolePolicy", "iam:PutRolePermissionsBoundary", "iam:PutRolePolicy"]
      Resource  = local.roles
      Condition = local.bounded
    },
    {
      Sid      = "ChangeRoles"
      Effect   = "Allow"
      Action   = ["iam:DeleteRole", "iam:TagRole", "iam:UntagRole", "iam:UpdateAssumeRolePolicy", "iam:UpdateRole"]
      Resource = local.roles
    },
    {
      Sid    = "ChangeInstanceProfiles"
      Effect = "Allow"
      Action = [
        "iam:AddRoleToInstanceProfile", "iam:CreateInstanceProfile", "iam:DeleteInstanceProfile",
        "iam:RemoveRoleFromInstanceProfile", "iam:TagInstanceProfile", "iam:UntagInstanceProfile",
      ]
      Resource = local.profiles
    },
    {
      Sid       = "PassRolesToInstances"
      Effect    = "Allow"
      Action    = ["iam:PassRole"]
      Resource  = local.roles
      Condition = { StringEquals = { "iam:PassedToService" = "ec2.amazonaws.com" } }
    },
    {
      # Entries, never values. Creating can carry a value, and what encrypts it under this key needs kms:GenerateDataKey,
      # which no workflow has; under Amazon's own key it would need nothing. Updating can replace a value: an administrator
      # changes descriptions and keys.
      Sid       = "MakeSecretsWithoutValues"
      Effect    = "Allow"
      Action    = ["secretsmanager:CreateSecret"]
      Resource  = local.secrets
      Condition = { StringEquals = { "secretsmanager:KmsKeyId" = var.operations_key_arn } }
    },
    {
      Sid      = "ChangeSecretsWithoutValues"
      Effect   = "Allow"
      Action   = ["secretsmanager:RestoreSecret", "secretsmanager:TagResource", "secretsmanager:UntagResource"]
      Resource = local.secrets
    },
    {
      # Never at once: a value that is gone could be replaced by another under its name.
      Sid       = "DeleteSecretsInDays"
      Effect    = "Allow"
      Action    = ["secretsmanager:DeleteSecret"]
      Resource  = local.secrets
      Condition = { NumericGreaterThanEquals = { "secretsmanager:RecoveryWindowInDays" = 7 } }
    },
    {
      Sid      = "ChangeLogGroups"
      Effect   = "Allow"
      Action   = ["logs:AssociateKmsKey", "logs:CreateLogGroup", "logs:DeleteLogGroup", "logs:PutRetentionPolicy", "logs:TagResource", "logs:UntagResource"]
      Resource = local.groups
    },
    {
      Sid      = "WriteState"
      Effect   = "Allow"
      Action   = ["s3:PutObject"]
      Resource = ["${var.state_bucket_arn}/${var.state_key}"]
    },
    {
      Sid      = "LockState"
      Effect   = "Allow"
      Action   = ["s3:DeleteObject", "s3:GetObject", "s3:PutObject"]
      Resource = ["${var.state_bucket_arn}/${var.state_key}.tflock"]
    },
  ]

  policies = {
    plan  = [for statement in local.read : jsonencode(statement)]
    apply = [for statement in concat(local.read, local.change) : jsonencode(statement)]
  }
}

# Not named like what the deployment may touch: the apply role must not be able to change itself.
resource "aws_iam_role" "this" {
  for_each = local.trust

  name                 = "github-${each.key}-${var.name}"
  description          = "GitHub workflows of ${var.repository}: ${each.key}"
  max_session_duration = 3600
  assume_role_policy   = each.value
}

resource "aws_iam_role_policy" "this" {
  for_each = local.policies

  name   = "rights"
  role   = aws_iam_role.this[each.key].name
  policy = "{\"Version\":\"2012-10-17\",\"Statement\":[${join(",", each.value)}]}"
}
