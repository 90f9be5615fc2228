# Settings of the app that are secret, and the right to send mail.

variable "secrets" {
  description = "Further secrets of the container: environment variable = last part of the secret's name."
  type        = map(string)
}

variable "secret_recovery_days" {
  description = "Days in which a deleted secret can be restored; 0 for none."
  type        = number
}

variable "email_identity_arn" {
  description = "SES identity in whose name the API sends mail; null when it sends none."
  type        = string
}

locals {
  further_secrets = [
    for name, secret in aws_secretsmanager_secret.this : { name = name, valueFrom = secret.arn }
  ]
}

# Made without a value: a person puts it there, Terraform never knows it. Until then a task that reads it cannot start.
resource "aws_secretsmanager_secret" "this" {
  #checkov:skip=CKV2_AWS_57:A person writes the values of the API's settings; nothing could make a new one by itself

  for_each = var.secrets

  name                    = "know-me/${var.environment}/api/${each.value}"
  description             = "${each.key} of the API; a person fills it"
  kms_key_id              = var.kms_key_arn
  recovery_window_in_days = var.secret_recovery_days
}

resource "aws_iam_role_policy" "secrets" {
  count = length(var.secrets) > 0 ? 1 : 0

  name = "read-secrets"
  role = aws_iam_role.execution.id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid      = "ReadSecrets"
      Effect   = "Allow"
      Action   = "secretsmanager:GetSecretValue"
      Resource = values(aws_secretsmanager_secret.this)[*].arn
    }]
  })
}

resource "aws_iam_role_policy" "email" {
  count = var.email_identity_arn == null ? 0 : 1

  name = "send-mail"
  role = aws_iam_role.task.id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid      = "SendMail"
      Effect   = "Allow"
      Action   = ["ses:SendEmail", "ses:SendRawEmail"]
      Resource = var.email_identity_arn
    }]
  })
}
