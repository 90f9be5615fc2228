variable "vpc_id" {
  type = string
}

variable "prefix_list_id" {
  type = string
}

resource "aws_security_group" "this" {
  name   = "database"
  vpc_id = var.vpc_id
}

resource "aws_security_group" "client" {
  name   = "client"
  vpc_id = var.vpc_id
}

resource "aws_vpc_security_group_ingress_rule" "client" {
  security_group_id            = aws_security_group.this.id
  referenced_security_group_id = aws_security_group.client.id
  ip_protocol                  = "tcp"
  from_port                    = 5432
  to_port                      = 5432
}

resource "aws_vpc_security_group_ingress_rule" "itself" {
  security_group_id            = aws_security_group.this.id
  referenced_security_group_id = aws_security_group.this.id
  ip_protocol                  = "-1"
}

resource "aws_vpc_security_group_ingress_rule" "ping" {
  security_group_id = aws_security_group.this.id
  cidr_ipv4         = "10.0.0.0/16"
  ip_protocol       = "icmp"
  from_port         = -1
  to_port           = -1
}

resource "aws_vpc_security_group_egress_rule" "client" {
  security_group_id            = aws_security_group.client.id
  referenced_security_group_id = aws_security_group.this.id
  ip_protocol                  = "tcp"
  from_port                    = 5432
  to_port                      = 5432
}

resource "aws_vpc_security_group_egress_rule" "everywhere" {
  security_group_id = aws_security_group.this.id
  cidr_ipv6         = "2001:db8:1::/64"
  ip_protocol       = "-1"
}

resource "aws_vpc_security_group_egress_rule" "storage" {
  security_group_id = aws_security_group.this.id
  prefix_list_id    = var.prefix_list_id
  ip_protocol       = "6"
  from_port         = 443
  to_port           = 443
}
