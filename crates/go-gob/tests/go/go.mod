module serin.test/gob

go 1.26
