#!/bin/sh
. "$0.sh"
