from kerasrecipes.cli import main

main()
