# A month as a Databricks job: the wheel's two entry points, one after the other. Dagster starts it, or starts months of
# its own through Pipes (output `pipes` of the module platform); the schedule stands here paused.

locals {
  serverless = var.compute == "serverless"

  # What the wheel's entry points are given. The second half of a month takes the same.
  months     = ["--from", "{{job.parameters.month}}", "--to", "{{job.parameters.month}}"]
  parameters = concat(["--config", var.config_path], local.months)
  planners   = var.plan_principal == null ? [] : [var.plan_principal]

  # In order: a month's models are made from its first half.
  tasks = {
    preprocess = { entry_point = "cltv-preprocess", after = [] }
    model      = { entry_point = "cltv-model", after = ["preprocess"] }
  }

  # Also what Dagster Pipes makes a cluster from for each month, so that both are the same.
  new_cluster = {
    spark_version = var.cluster.spark_version
    node_type_id  = var.cluster.node_type_id
    autoscale     = { min_workers = var.cluster.workers[0], max_workers = var.cluster.workers[1] }
    # One user, Unity Catalog: the wheel lies on a volume, and the instance profile is that user's.
    data_security_mode = "SINGLE_USER"
    aws_attributes     = { instance_profile_arn = var.instance_profile_arn, availability = "SPOT_WITH_FALLBACK", first_on_demand = 1, zone_id = "auto" }
    spark_conf         = { "spark.sql.session.timeZone" = "UTC", "spark.sql.ansi.enabled" = "true" }
    # delta-rs and boto3 look for the region here; the keys come from the instance profile.
    spark_env_vars = { AWS_REGION = var.region, AWS_DEFAULT_REGION = var.region }
    custom_tags    = var.tags
  }
}

resource "databricks_job" "this" {
  name        = var.name
  description = "A month of customer lifetime value: preparation, then models, predictions and report"
  tags        = var.tags

  # Two runs would wait for each other's lake; a second one waits here instead.
  max_concurrent_runs = 1

  queue {
    enabled = true
  }

  run_as {
    service_principal_name = var.run_as
  }

  parameter {
    name = "month"
    # The last month that has closed.
    default = "latest"
  }

  dynamic "job_cluster" {
    for_each = local.serverless ? [] : [local.new_cluster]

    content {
      job_cluster_key = "month"

      new_cluster {
        spark_version      = job_cluster.value.spark_version
        node_type_id       = job_cluster.value.node_type_id
        data_security_mode = job_cluster.value.data_security_mode
        spark_conf         = job_cluster.value.spark_conf
        spark_env_vars     = job_cluster.value.spark_env_vars
        custom_tags        = job_cluster.value.custom_tags

        autoscale {
          min_workers = job_cluster.value.autoscale.min_workers
          max_workers = job_cluster.value.autoscale.max_workers
        }

        aws_attributes {
          instance_profile_arn = job_cluster.value.aws_attributes.instance_profile_arn
          availability         = job_cluster.value.aws_attributes.availability
          first_on_demand      = job_cluster.value.aws_attributes.first_on_demand
          zone_id              = job_cluster.value.aws_attributes.zone_id
        }
      }
    }
  }

  dynamic "environment" {
    for_each = local.serverless ? [var.serverless_environment_version] : []

    content {
      environment_key = "month"

      spec {
        environment_version = environment.value
        dependencies        = ["-r ${var.requirements_path}", var.wheel_path]
      }
    }
  }

  dynamic "task" {
    # By name in reverse: `preprocess` stands before `model`.
    for_each = reverse(sort(keys(local.tasks)))

    content {
      task_key        = task.value
      job_cluster_key = local.serverless ? null : "month"
      environment_key = local.serverless ? "month" : null
      timeout_seconds = var.timeout_seconds
      # A step that failed has said why, and would fail again; whoever started the job decides.
      max_retries = 0

      python_wheel_task {
        package_name = "cltv_assets"
        entry_point  = local.tasks[task.value].entry_point
        parameters   = local.parameters
      }

      dynamic "depends_on" {
        for_each = local.tasks[task.value].after

        content {
          task_key = depends_on.value
        }
      }

      dynamic "library" {
        for_each = local.serverless ? [] : [{ requirements = var.requirements_path, whl = null }, { requirements = null, whl = var.wheel_path }]

        content {
          requirements = library.value.requirements
          whl          = library.value.whl
        }
      }
    }
  }

  schedule {
    quartz_cron_expression = var.schedule.quartz_cron_expression
    timezone_id            = var.schedule.timezone_id
    # Dagster knows when a month is due and what it waits for. Two starters would make months twice.
    pause_status = "PAUSED"
  }

  dynamic "email_notifications" {
    for_each = length(var.failure_emails) == 0 ? [] : [var.failure_emails]

    content {
      on_failure                = email_notifications.value
      no_alert_for_skipped_runs = true
    }
  }

  lifecycle {
    precondition {
      condition     = local.serverless || var.instance_profile_arn != null
      error_message = "A job cluster reaches the lake by Spark's role: let that role be of kind ec2, which makes its instance profile, or take serverless compute."
    }
  }
}

# The whole list, as everywhere: a right given by hand is taken back by the next apply.
resource "databricks_permissions" "job" {
  job_id = databricks_job.this.id

  dynamic "access_control" {
    for_each = var.managers

    content {
      group_name       = access_control.value
      permission_level = "CAN_MANAGE_RUN"
    }
  }

  dynamic "access_control" {
    for_each = var.viewers

    content {
      group_name       = access_control.value
      permission_level = "CAN_VIEW"
    }
  }

  dynamic "access_control" {
    for_each = local.planners

    content {
      service_principal_name = access_control.value
      permission_level       = "CAN_VIEW"
    }
  }

  lifecycle {
    precondition {
      condition     = length(setunion(var.managers, var.viewers)) > 0
      error_message = "Somebody must be allowed to look at the job: name a group of managers or viewers."
    }
  }
}
