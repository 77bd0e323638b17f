"""What spark-submit runs on EMR: upload this file beside the environment that holds the package."""

from cltv_assets.cli import preprocess_main

if __name__ == "__main__":
    preprocess_main()
