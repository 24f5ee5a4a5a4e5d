#!/bin/sh
sed -i s/cat/dog/ "$1"
