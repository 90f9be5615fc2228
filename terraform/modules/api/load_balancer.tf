locals {
  # With a certificate the HTTP listener only redirects.
  production_port = var.https ? 443 : var.listener_port
  test_port       = coalesce(var.test_listener_port, var.https ? 8443 : 8080)

  # Who may reach which port.
  clients = merge(
    { for port in distinct([var.listener_port, local.production_port]) : tostring(port) => { description = "Clients", blocks = var.allowed_cidr_blocks } },
    { (tostring(local.test_port)) = { description = "Testers of releases", blocks = var.test_allowed_cidr_blocks } },
  )

  host = coalesce(var.domain_name, aws_lb.this.dns_name)
  url  = var.https ? "https://${local.host}" : var.listener_port == 80 ? "http://${local.host}" : "http://${local.host}:${var.listener_port}"

  ssl_policy = "ELBSecurityPolicy-TLS13-1-2-2021-06"

  # Target groups have names of at most 32 characters; the longest names of environments are shortened.
  target_group_prefix = length(local.name) <= 26 ? local.name : "${substr(local.name, 0, 21)}-${substr(sha256(local.name), 0, 4)}"
}

resource "aws_lb" "this" {
  #checkov:skip=CKV2_AWS_28:Not made by this module: a web ACL is associated by whoever calls it; api_allowed_cidr_blocks narrows who comes in at all

  name                       = local.name
  load_balancer_type         = "application"
  subnets                    = var.public_subnet_ids
  security_groups            = [aws_security_group.load_balancer.id]
  enable_deletion_protection = var.deletion_protection
  drop_invalid_header_fields = true

  dynamic "access_logs" {
    for_each = var.access_logs_bucket == null ? [] : [var.access_logs_bucket]

    content {
      enabled = true
      bucket  = access_logs.value
      prefix  = local.name
    }
  }
}

# One has the production traffic, the other one the next release; they change places with every release.
resource "aws_lb_target_group" "this" {
  #checkov:skip=CKV_AWS_378:TLS ends at the balancer; behind it only the balancer's security group reaches the tasks, inside the private subnets

  for_each = toset(["blue", "green"])

  name                 = "${local.target_group_prefix}-${each.key}"
  vpc_id               = var.vpc_id
  target_type          = "ip"
  protocol             = "HTTP"
  port                 = var.container_port
  deregistration_delay = 30

  health_check {
    path                = local.health_check_path
    matcher             = "200"
    interval            = 15
    timeout             = 5
    healthy_threshold   = 2
    unhealthy_threshold = 3
  }
}

resource "aws_lb_listener" "production" {
  #checkov:skip=CKV_AWS_2:HTTPS as soon as there is a certificate; an environment without a domain has none
  #checkov:skip=CKV_AWS_103:TLS 1.2 and newer as soon as there is a certificate; an environment without a domain has none

  load_balancer_arn = aws_lb.this.arn
  protocol          = var.https ? "HTTPS" : "HTTP"
  port              = local.production_port
  certificate_arn   = var.certificate_arn
  ssl_policy        = var.https ? local.ssl_policy : null

  default_action {
    type             = "forward"
    target_group_arn = aws_lb_target_group.this["blue"].arn
  }

  lifecycle {
    ignore_changes = [default_action] # CodeDeploy switches it
  }
}

# Where a release answers before it gets the production traffic.
resource "aws_lb_listener" "test" {
  #checkov:skip=CKV_AWS_2:HTTPS as soon as there is a certificate; open only to api_test_allowed_cidr_blocks
  #checkov:skip=CKV_AWS_103:TLS 1.2 and newer as soon as there is a certificate; open only to api_test_allowed_cidr_blocks

  load_balancer_arn = aws_lb.this.arn
  protocol          = var.https ? "HTTPS" : "HTTP"
  port              = local.test_port
  certificate_arn   = var.certificate_arn
  ssl_policy        = var.https ? local.ssl_policy : null

  default_action {
    type             = "forward"
    target_group_arn = aws_lb_target_group.this["blue"].arn
  }

  lifecycle {
    ignore_changes = [default_action] # CodeDeploy switches it
  }
}

resource "aws_lb_listener" "redirect" {
  count = var.https ? 1 : 0

  load_balancer_arn = aws_lb.this.arn
  protocol          = "HTTP"
  port              = var.listener_port

  default_action {
    type = "redirect"

    redirect {
      protocol    = "HTTPS"
      port        = 443
      status_code = "HTTP_301"
    }
  }

  depends_on = [aws_lb_listener.production] # which has this port until it gets a certificate
}

# Who may talk to whom

resource "aws_security_group" "load_balancer" {
  name        = "${local.name}-load-balancer"
  description = "Load balancer of ${local.name}"
  vpc_id      = var.vpc_id

  tags = { Name = "${local.name}-load-balancer" }
}

resource "aws_vpc_security_group_ingress_rule" "load_balancer" {
  for_each = merge([
    for port, who in local.clients : { for block in who.blocks : "${block}:${port}" => { block = block, port = tonumber(port), description = who.description } }
  ]...)

  security_group_id = aws_security_group.load_balancer.id
  description       = each.value.description
  cidr_ipv4         = each.value.block
  ip_protocol       = "tcp"
  from_port         = each.value.port
  to_port           = each.value.port
}

resource "aws_vpc_security_group_egress_rule" "load_balancer" {
  security_group_id            = aws_security_group.load_balancer.id
  description                  = "Tasks"
  referenced_security_group_id = aws_security_group.task.id
  ip_protocol                  = "tcp"
  from_port                    = var.container_port
  to_port                      = var.container_port
}

resource "aws_security_group" "task" {
  name        = "${local.name}-task"
  description = "Tasks of ${local.name}"
  vpc_id      = var.vpc_id

  tags = { Name = "${local.name}-task" }
}

resource "aws_vpc_security_group_ingress_rule" "task" {
  security_group_id            = aws_security_group.task.id
  description                  = "Load balancer"
  referenced_security_group_id = aws_security_group.load_balancer.id
  ip_protocol                  = "tcp"
  from_port                    = var.container_port
  to_port                      = var.container_port
}

# Image registry, Secrets Manager, logs and the certificate bundle. The way to a database comes with the database.
resource "aws_vpc_security_group_egress_rule" "task" {
  security_group_id = aws_security_group.task.id
  description       = "HTTPS"
  cidr_ipv4         = "0.0.0.0/0"
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
}
