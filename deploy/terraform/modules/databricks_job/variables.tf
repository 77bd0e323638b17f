variable "name" {
  description = "Name of the job."
  type        = string
}

variable "compute" {
  description = "`job_cluster`, which is made for each run and has Spark's role, or `serverless`, which has no role on AWS."
  type        = string

  validation {
    condition     = contains(["job_cluster", "serverless"], var.compute)
    error_message = "compute is job_cluster or serverless."
  }
}

variable "cluster" {
  description = "The job cluster. `workers` are the fewest and the most. The release must have Python 3.11 or newer and Spark 4.0."
  type = object({
    spark_version = string
    node_type_id  = string
    workers       = tuple([number, number])
  })
}

variable "instance_profile_arn" {
  description = "Instance profile of Spark's role; needed for a job cluster, null for serverless."
  type        = string
}

variable "serverless_environment_version" {
  description = "Version of the serverless environment; it decides which Python there is."
  type        = string
}

variable "region" {
  description = "AWS region of the lake."
  type        = string
}

variable "wheel_path" {
  description = "The wheel, on a volume."
  type        = string

  validation {
    condition     = can(regex("^/Volumes/.+/cltv_assets-[^/]+\\.whl$", var.wheel_path))
    error_message = "The wheel is a file /Volumes/<catalog>/<schema>/<volume>/cltv_assets-<version>-py3-none-any.whl."
  }
}

variable "requirements_path" {
  description = "What the wheel needs, in exact versions, as a requirements.txt on a volume."
  type        = string
}

variable "config_path" {
  description = "The settings, cltv.yaml on a volume."
  type        = string
}

variable "run_as" {
  description = "Application id of the service principal that the job runs as."
  type        = string
}

variable "timeout_seconds" {
  description = "How long one of the two tasks may take."
  type        = number
}

variable "schedule" {
  description = "When the job would run by itself, as a Quartz expression, and the time zone of it."
  type = object({
    quartz_cron_expression = string
    timezone_id            = string
  })
}

variable "failure_emails" {
  description = "Who is told that the job failed."
  type        = list(string)
}

variable "managers" {
  description = "Groups that may start and cancel runs."
  type        = set(string)
}

variable "viewers" {
  description = "Groups that may look at runs."
  type        = set(string)
}

variable "tags" {
  description = "Tags of the job and of its cluster's machines."
  type        = map(string)
}

variable "plan_principal" {
  description = "Application id of the service principal that plans pull requests: it looks at everything here and reads no file of the lake. Null for none."
  type        = string
}
