package main

func table() []*sequence { return nil }
