import os
import time
from pathlib import Path

beat = Path(os.environ["SITEWRIGHT_DATA"]) / "worker"
while True:
    beat.write_text("alive")
    print("worker beat", flush=True)
    time.sleep(1)
