package main

func playRandom(w *world, seed uint64, steps int) {}
