from books.models import Book
from django.http import JsonResponse
from django.urls import path


def books(request):
    if request.method == "POST":
        Book.objects.create(title=request.GET["title"])
    return JsonResponse({"titles": list(Book.objects.order_by("id").values_list("title", flat=True))})


books.csrf_exempt = True
urlpatterns = [path("", books)]
