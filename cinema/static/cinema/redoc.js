const element = document.getElementById("redoc-ui");
Redoc.init(element.dataset.document, {}, element);
