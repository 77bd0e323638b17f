# One role: who may take it, and one inline policy. Nothing else is attached.

locals {
  # `oidc.eks.<region>.amazonaws.com/id/<id>`: how the cluster's provider is named in conditions.
  issuer = var.trust.kind == "eks" ? split(":oidc-provider/", var.trust.oidc_provider_arn)[1] : ""

  # Only services acting for this account: without it another account's task could be made to use the role.
  own_account = { StringEquals = { "aws:SourceAccount" = var.account_id } }

  statements = {
    ecs = {
      Principal = { Service = "ecs-tasks.amazonaws.com" }
      Action    = "sts:AssumeRole"
      Condition = merge(local.own_account, { ArnLike = { "aws:SourceArn" = "arn:aws:ecs:${var.region}:${var.account_id}:*" } })
    }
    eks = {
      Principal = { Federated = var.trust.oidc_provider_arn }
      Action    = "sts:AssumeRoleWithWebIdentity"
      Condition = {
        StringEquals = {
          "${local.issuer}:aud" = "sts.amazonaws.com"
          "${local.issuer}:sub" = "system:serviceaccount:${coalesce(var.trust.namespace, "none")}:${coalesce(var.trust.service_account, "none")}"
        }
      }
    }
    ec2 = {
      Principal = { Service = "ec2.amazonaws.com" }
      Action    = "sts:AssumeRole"
      # An instance profile cannot be used from another account; EC2 sends no source to compare.
      Condition = {}
    }
    emr_serverless = {
      Principal = { Service = "emr-serverless.amazonaws.com" }
      Action    = "sts:AssumeRole"
      Condition = merge(local.own_account, { ArnLike = { "aws:SourceArn" = "arn:aws:emr-serverless:${var.region}:${var.account_id}:/applications/*" } })
    }
    roles = {
      Principal = { AWS = var.trust.role_arns }
      Action    = "sts:AssumeRole"
      Condition = {}
    }
  }

  # By way of JSON: the five have conditions of different types.
  chosen = { for kind, statement in local.statements : kind => jsonencode(merge({ Effect = "Allow" }, { for key, value in statement : key => value if key != "Condition" || length(value) > 0 })) }
}

resource "aws_iam_role" "this" {
  name                 = var.name
  max_session_duration = var.max_session_seconds
  permissions_boundary = var.permissions_boundary_arn
  assume_role_policy   = jsonencode({ Version = "2012-10-17", Statement = [jsondecode(local.chosen[var.trust.kind])] })
}

resource "aws_iam_role_policy" "this" {
  name   = "rights"
  role   = aws_iam_role.this.name
  policy = var.policy
}

resource "aws_iam_instance_profile" "this" {
  count = var.trust.kind == "ec2" ? 1 : 0

  name = var.name
  role = aws_iam_role.this.name
}
