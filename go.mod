module cai

go 1.26.0
